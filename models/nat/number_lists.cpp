#include "models/nat/number_lists.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "runtime/base/error.h"

namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// A # begins a comment at the start of a line and behind a blank.
std::string_view without_comment(std::string_view line) {
    for (std::size_t i = 0; i < line.size(); ++i)
        if (line[i] == '#' && (i == 0 || blanks.find(line[i - 1]) != std::string_view::npos))
            return line.substr(0, i);
    return line;
}

// A line as quoted in messages: truncated, as a file may have no line breaks.
std::string shown(std::string_view text) {
    constexpr std::size_t most = 40;
    std::string start(text.substr(0, most));
    std::ranges::replace_if(
        start, [](unsigned char c) { return c < 32 || c > 126; }, '?');
    return text.size() > most ? start + "..." : start;
}

class Parser {
  public:
    Parser(std::string_view text, std::string_view source) : text_(text), source_(source) {}

    NumberLists parse() {
        while (!text_.empty()) read_line(next_line());
        if (in_flow_) fail_here("the list of {} has no closing bracket", name_);
        return std::move(lists_);
    }

  private:
    template <class... Args>
    [[noreturn]] void fail_here(fmt::format_string<Args...> format, Args&&... args) const {
        fail_usage("{}: line {}: {}", source_, line_number_,
                   fmt::format(format, std::forward<Args>(args)...));
    }

    std::string_view next_line() {
        const std::size_t end = std::min(text_.find('\n'), text_.size());
        const std::string_view line = text_.substr(0, end);
        text_.remove_prefix(std::min(end + 1, text_.size()));
        ++line_number_;
        return without_comment(line);
    }

    void read_line(std::string_view line) {
        const std::string_view content = trimmed(line);
        if (content.empty()) return;
        if (in_flow_) return read_flow(content);
        if (content == "---" && lists_.empty()) return;
        if (content == "-" || content.starts_with("- ")) return read_item(content.substr(1));
        if (blanks.find(line.front()) != std::string_view::npos)
            fail_here("\"{}\" is indented, expected a name at the start of the line", shown(content));
        read_name(content);
    }

    void read_name(std::string_view content) {
        const std::size_t colon = content.find(':');
        if (colon == std::string_view::npos)
            fail_here("\"{}\", expected \"name: [numbers]\"", shown(content));
        name_ = trimmed(content.substr(0, colon));
        const auto is_letter = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
        if (name_.empty() || !std::ranges::all_of(name_, is_letter))
            fail_here("\"{}\" is no name", shown(name_));
        if (!lists_.try_emplace(name_).second) fail_here("{} is given twice", name_);
        const std::string_view rest = trimmed(content.substr(colon + 1));
        takes_items_ = rest.empty();
        if (takes_items_) return;
        if (rest.front() != '[') fail_here("{} is \"{}\", expected a list of numbers", name_, shown(rest));
        in_flow_ = true;
        expects_number_ = true;
        read_flow(rest.substr(1));
    }

    // A list in brackets, or the part of it that a line holds.
    void read_flow(std::string_view content) {
        while (!(content = trimmed(content)).empty()) {
            if (content.front() == ']') {
                if (!trimmed(content.substr(1)).empty())
                    fail_here("\"{}\" behind the list of {}", shown(trimmed(content.substr(1))), name_);
                in_flow_ = false;
                return;
            }
            if (content.front() == ',' && !expects_number_) {
                expects_number_ = true;
                content.remove_prefix(1);
                continue;
            }
            if (!expects_number_) fail_here("\"{}\", expected a comma or a bracket", shown(content));
            const std::size_t end = std::min(content.find_first_of(",] \t"), content.size());
            add(content.substr(0, end));
            expects_number_ = false;
            content.remove_prefix(end);
        }
    }

    void read_item(std::string_view content) {
        if (!takes_items_) fail_here("a list item outside of a list");
        add(trimmed(content));
    }

    void add(std::string_view word) {
        double number = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
        if (word.empty() || error != std::errc() || end != word.data() + word.size())
            fail_here("\"{}\" in the list of {}, expected a number", shown(word), name_);
        lists_[name_].push_back(number);
    }

    std::string_view text_, source_;
    std::int64_t line_number_ = 0;
    NumberLists lists_;
    std::string name_;                               // of the list being read
    bool in_flow_ = false, expects_number_ = false;  // inside of brackets
    bool takes_items_ = false;                       // a list in block style
};

}  // namespace

NumberLists parse_number_lists(std::string_view text, std::string_view source) {
    return Parser(text, source).parse();
}
