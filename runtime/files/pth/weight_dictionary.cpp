#include "runtime/files/pth/weight_dictionary.h"

#include <algorithm>
#include <cstdint>

#include "runtime/base/error.h"
#include "runtime/files/pth/pth_tensor.h"

namespace {

using Value = Pickle::Value;

// What programs call the weights, the more usual first.
constexpr std::string_view weight_keys[] = {"model",   "state_dict", "model_state_dict", "module",    "net",
                                            "network", "params",     "weights",          "checkpoint"};
// Entries that hold no weights.
constexpr std::string_view other_keys[] = {"optimizer", "scaler", "scheduler", "args"};

}  // namespace

bool is_average_key(std::string_view key) {
    for (std::size_t begin = 0; begin <= key.size();) {
        const std::size_t end = std::min(key.find_first_of("_-. ", begin), key.size());
        if (key.substr(begin, end - begin) == "ema") return true;
        begin = end + 1;
    }
    return false;
}

CheckpointDictionaries::CheckpointDictionaries(const Pickle& pickle, std::string_view source)
    : pickle_(pickle), source_(source), tensors_(pickle.nodes()) {
    count(pickle.root());
}

std::vector<DictionaryEntry> CheckpointDictionaries::entries(Value dictionary) {
    const auto pairs = dictionary_entries(pickle_, dictionary);
    visits_ += pairs.size();
    // Dictionaries that only their own entry refers to are visited a few times at most.
    if (visits_ > 16 * (pickle_.nodes() + 1024))
        fail("{}: dictionaries that hold each other, with more than {} entries", source_, visits_);
    std::vector<DictionaryEntry> entries;
    for (const auto& [key, value] : pairs)
        if (pickle_.is(key, Pickle::Kind::string)) entries.push_back({pickle_[key].text, value});
    std::ranges::stable_sort(entries, {}, &DictionaryEntry::key);
    const auto has = [&](std::string_view key) {
        return std::ranges::binary_search(entries, key, {}, &DictionaryEntry::key);
    };
    if (has("param_groups") && has("state")) return {};  // what every optimizer of torch saves
    std::vector<DictionaryEntry> kept;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const auto& [key, value] = entries[i];
        const bool last = i + 1 == entries.size() || entries[i + 1].key != key,
                   other = is_dictionary(pickle_, value) &&
                           std::ranges::find(other_keys, key) != std::end(other_keys);
        if (last && !other) kept.push_back(entries[i]);
    }
    return kept;
}

// Depth first without recursion. A dictionary that lies in itself counts nothing there.
void CheckpointDictionaries::count(Value root) {
    struct Open {
        Value dictionary;
        std::vector<DictionaryEntry> entries;
        std::size_t next = 0;
    };
    constexpr std::size_t most = std::size_t{1} << 40;  // shared dictionaries can multiply beyond all measure
    enum class State : std::uint8_t { unseen, open, counted };
    std::vector<State> states(pickle_.nodes());
    std::vector<Open> path;
    const auto add = [&](Value dictionary, std::size_t tensors) {
        tensors_[dictionary] = std::min(tensors_[dictionary] + tensors, most);
    };
    const auto enter = [&](Value dictionary) {
        states[dictionary] = State::open;
        path.push_back({dictionary, entries(dictionary)});
    };
    enter(root);
    while (!path.empty()) {
        Open& open = path.back();
        if (open.next == open.entries.size()) {
            const Value counted = open.dictionary;
            states[counted] = State::counted;
            path.pop_back();
            if (!path.empty()) add(path.back().dictionary, tensors_[counted]);
            continue;
        }
        const Value value = open.entries[open.next++].value;
        if (is_tensor(pickle_, value))
            add(open.dictionary, 1);
        else if (is_dictionary(pickle_, value) && states[value] == State::counted)
            add(open.dictionary, tensors_[value]);
        else if (is_dictionary(pickle_, value) && states[value] == State::unseen)
            enter(value);
    }
}

namespace {

// The entry of `dictionary` to look for the weights in; `average` gets the one that holds their average.
std::optional<DictionaryEntry> choose_entry(const Pickle& pickle, CheckpointDictionaries& dictionaries,
                                            Value dictionary, std::optional<DictionaryEntry>& average) {
    std::size_t own = 0;  // tensors right in the dictionary
    std::vector<DictionaryEntry> others;
    std::optional<DictionaryEntry> best;
    const auto tensors = [&](const DictionaryEntry& entry) { return dictionaries.tensors(entry.value); };
    const auto rank = [](std::string_view key) {
        return std::ranges::find(weight_keys, key) - std::begin(weight_keys);
    };
    for (const DictionaryEntry& entry : dictionaries.entries(dictionary)) {
        if (is_tensor(pickle, entry.value)) ++own;
        if (!is_dictionary(pickle, entry.value) || tensors(entry) == 0) continue;
        if (is_average_key(entry.key)) {
            if (!average || entry.key == "model_ema") average = entry;
            continue;
        }
        others.push_back(entry);
        if (rank(entry.key) == std::ssize(weight_keys)) continue;
        if (!best || tensors(entry) > tensors(*best) ||
            (tensors(entry) == tensors(*best) && rank(entry.key) < rank(best->key)))
            best = entry;
    }
    if (best && tensors(*best) >= own) return best;
    if (others.empty() || (own == 0 && others.size() > 1)) return std::nullopt;
    const DictionaryEntry largest = *std::ranges::max_element(others, {}, tensors);
    return tensors(largest) > own ? std::optional(largest) : std::nullopt;
}

WeightDictionary within(const WeightDictionary& outer, const DictionaryEntry& entry) {
    return {entry.value, outer.path + (outer.path.empty() ? "" : ".") + std::string(entry.key)};
}

// From `at` inwards to the weights; on the way `pass` gets every dictionary with its average's entry and
// whether the weights lie deeper.
template <class Pass>
WeightDictionary descend(const Pickle& pickle, CheckpointDictionaries& dictionaries, WeightDictionary at,
                         std::string_view source, Pass pass) {
    for (int depth = 0; depth < max_dictionary_depth; ++depth) {
        std::optional<DictionaryEntry> average;
        const auto next = choose_entry(pickle, dictionaries, at.value, average);
        pass(at, average, next.has_value());
        if (!next) return at;
        at = within(at, *next);
    }
    fail("{}: dictionaries nested deeper than {}", source, max_dictionary_depth);
}

}  // namespace

WeightDictionaries find_weights(const Pickle& pickle, CheckpointDictionaries& dictionaries,
                                std::string_view source) {
    WeightDictionaries found;
    bool only_average = false;
    const auto pass = [&](const WeightDictionary& at, const std::optional<DictionaryEntry>& average,
                          bool deeper) {
        if (deeper) found.around.push_back(at.value);
        if (!average) return;
        only_average = !deeper && dictionaries.tensors(at.value) == dictionaries.tensors(average->value);
        if (!found.average) found.average = within(at, *average);
    };
    const WeightDictionary weights = descend(pickle, dictionaries, {pickle.root(), ""}, source, pass);
    if (!only_average) found.weights = weights;
    if (found.average)
        found.average = descend(pickle, dictionaries, *found.average, source, [](const auto&...) {});
    return found;
}
