// Python pickles (protocols 0 to 5) as plain data. A pickle is a program for a small stack machine; Python's
// own machine lets it call any function there is. This one calls nothing: an import becomes a node with its
// name, a call a node that holds the callee and the arguments. The caller interprets the few that it
// supports.
//
// All nodes lie in one array and refer to each other by index, so nothing here recurses, cycles are harmless,
// and the memory taken is at most proportional to the length of the pickle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

class Pickle {
  public:
    using Value = std::uint32_t;                         // index of a node
    static constexpr Value nothing = 0;                  // node 0 is None
    static constexpr std::size_t small_limit = 1 << 22;  // values that any pickle may have

    enum class Kind : std::uint8_t {
        none,
        boolean,       // integer 0 or 1
        integer,       // that fits 64 bits
        long_integer,  // any other: text is its little-endian two's complement, or decimal in protocols 0 and
                       // 1
        real,
        string,      // text
        bytes,       // text
        list,        // items
        tuple,       // items
        set,         // items
        dictionary,  // items: key, value, key, value, ...
        global,      // head: module, body: name, both strings
        object,      // head called with body (a tuple), then given `state`, items appended or set by key
        persistent,  // head: its persistent id
        extension,   // integer: a code of Python's extension registry
    };

    struct Node {
        Kind kind = Kind::none;
        Value head = nothing, body = nothing, state = nothing;
        std::int64_t integer = 0;
        double real = 0;
        std::string_view text;
        std::vector<Value> items;
    };

    // Runs the pickle that `bytes` starts with; more may follow it. Texts stay views into `bytes`. `limit`
    // bounds the values, the stack and the memo. Throws Error, starting with `source`, if the pickle is cut
    // off or malformed, or meets the limit.
    Pickle(std::string_view bytes, std::string_view source, std::size_t limit = small_limit);
    // Values that a file of this length may have: small_limit (300 MB of memory), or one for every 8 bytes,
    // less than which no floating-point number takes.
    static std::size_t limit_for(std::uint64_t file_bytes);

    Value root() const { return root_; }
    std::size_t size() const { return size_; }  // bytes of the pickle
    std::size_t nodes() const { return nodes_.size(); }
    const Node& operator[](Value value) const { return nodes_[value]; }
    bool is(Value value, Kind kind) const { return nodes_[value].kind == kind; }
    bool is_string(Value value, std::string_view text) const {
        return is(value, Kind::string) && nodes_[value].text == text;
    }
    bool is_global(Value value, std::string_view module, std::string_view name) const {
        return is(value, Kind::global) && is_string(nodes_[value].head, module) &&
               is_string(nodes_[value].body, name);
    }

  private:
    friend class PickleMachine;
    std::deque<Node> nodes_;           // grows without moving what it holds
    std::deque<std::string> decoded_;  // texts that were written with escapes
    Value root_ = nothing;
    std::size_t size_ = 0;
};
