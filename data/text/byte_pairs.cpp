#include "data/text/byte_pairs.h"

#include <algorithm>
#include <array>
#include <functional>
#include <queue>
#include <string>

#include "data/text/utf8.h"
#include "runtime/base/error.h"

namespace {

constexpr std::int32_t bytes = 256, no_symbol = -1;
constexpr std::string_view end_of_word = "</w>";

bool is_visible(std::int32_t byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Symbols of bytes; the bytes in the order of their symbols.
struct ByteOrder {
    std::array<std::int32_t, bytes> symbol_of;
    std::array<std::int32_t, bytes> byte_of;
    std::int32_t visible = 0;  // number of bytes that are written as themselves

    constexpr ByteOrder() : symbol_of(), byte_of() {
        std::int32_t symbol = 0;
        for (const bool first : {true, false}) {
            for (std::int32_t byte = 0; byte < bytes; ++byte)
                if (is_visible(byte) == first) {
                    symbol_of[static_cast<std::size_t>(byte)] = symbol;
                    byte_of[static_cast<std::size_t>(symbol++)] = byte;
                }
            if (first) visible = symbol;
        }
    }
};

const ByteOrder& byte_order() {
    static const ByteOrder order;
    return order;
}

// As the merge list writes the symbol of a byte.
std::string written_byte(std::int32_t symbol) {
    const ByteOrder& order = byte_order();
    const std::int32_t code = symbol < order.visible ? order.byte_of[static_cast<std::size_t>(symbol)]
                                                     : 0x100 + symbol - order.visible;
    return encode_utf8(std::u32string{static_cast<char32_t>(code)});
}

using Symbols = std::unordered_map<std::string, std::int32_t>;

Symbols byte_symbols(std::int64_t more) {
    Symbols symbols;
    symbols.reserve(static_cast<std::size_t>(2 * bytes + more));
    for (std::int32_t symbol = 0; symbol < bytes; ++symbol) {
        const std::string written = written_byte(symbol);
        symbols[written] = symbol;
        symbols[written + std::string(end_of_word)] = bytes + symbol;
    }
    return symbols;
}

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

// Symbols of a word in a linked list: a symbol that was joined to the one before it leaves the list.
struct Word {
    std::vector<std::int32_t> symbols, before, behind;

    explicit Word(std::string_view text) : symbols(text.size()), before(text.size()), behind(text.size()) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            symbols[i] = byte_order().symbol_of[static_cast<std::uint8_t>(text[i])];
            before[i] = static_cast<std::int32_t>(i) - 1;
            behind[i] = static_cast<std::int32_t>(i) + 1;
        }
        symbols.back() += bytes;
    }
    std::int32_t size() const { return static_cast<std::int32_t>(symbols.size()); }
    std::int32_t& symbol(std::int32_t at) { return symbols[static_cast<std::size_t>(at)]; }
    std::int32_t& next(std::int32_t at) { return behind[static_cast<std::size_t>(at)]; }
    std::int32_t& previous(std::int32_t at) { return before[static_cast<std::size_t>(at)]; }

    // The symbol at `at` and the next one become `both`.
    void join(std::int32_t at, std::int32_t both) {
        const std::int32_t removed = next(at);
        symbol(at) = both;
        symbol(removed) = no_symbol;
        next(at) = next(removed);
        if (next(at) < size()) previous(next(at)) = at;
    }
};

}  // namespace

BytePairs::BytePairs(std::string_view merges, std::int64_t count)
    : size_(static_cast<std::int32_t>(2 * bytes + count)) {
    Symbols symbols = byte_symbols(count);
    merges_.reserve(static_cast<std::size_t>(count));
    for (std::int32_t symbol = 2 * bytes; symbol < size_; ++symbol) {
        const std::string line(merges.substr(0, merges.find('\n')));
        merges.remove_prefix(std::min(line.size() + 1, merges.size()));
        const std::size_t space = std::min(line.find(' '), line.size());
        const std::string left = line.substr(0, space), right = line.substr(std::min(space + 1, line.size()));
        const auto first = symbols.find(left), second = symbols.find(right);
        if (first == symbols.end() || second == symbols.end())
            fail("merge list: line {}: \"{}\", expected two symbols of the lines above it",
                 symbol - 2 * bytes + 1, line);
        merges_[pair_of(first->second, second->second)] = symbol;
        if (!symbols.emplace(left + right, symbol).second)
            fail("merge list: line {}: \"{}\", expected a pair that makes a new symbol",
                 symbol - 2 * bytes + 1, line);
    }
}

std::int32_t BytePairs::joined(std::int32_t left, std::int32_t right) const {
    const auto found = merges_.find(pair_of(left, right));
    return found == merges_.end() ? no_symbol : found->second;
}

// A pair with a joined symbol always has a higher rank than the pair that made it, since the list defines
// symbols before it uses them. So the queue, by rank and then by position, joins all occurrences of a pair,
// left to right, before the next pair.
void BytePairs::append_word(std::string_view text, std::vector<std::int32_t>& ids) const {
    struct Candidate {
        std::int32_t both, at;
        auto operator<=>(const Candidate&) const = default;
    };
    Word word(text);
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
    const auto joined_at = [&](std::int32_t at) {
        return word.next(at) < word.size() ? joined(word.symbol(at), word.symbol(word.next(at))) : no_symbol;
    };
    const auto consider = [&](std::int32_t at) {
        if (const std::int32_t both = joined_at(at); both != no_symbol) candidates.push({both, at});
    };
    for (std::int32_t at = 0; at < word.size(); ++at) consider(at);
    while (!candidates.empty()) {
        const Candidate best = candidates.top();
        candidates.pop();
        if (joined_at(best.at) != best.both) continue;  // one of the two was joined to another meanwhile
        word.join(best.at, best.both);
        if (word.previous(best.at) >= 0) consider(word.previous(best.at));
        consider(best.at);
    }
    for (std::int32_t at = 0; at < word.size(); at = word.next(at)) ids.push_back(word.symbol(at));
}
