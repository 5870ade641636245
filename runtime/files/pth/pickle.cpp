#include "runtime/files/pth/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "runtime/base/error.h"
#include "runtime/files/pth/pickle_text.h"

// The stack, the memo and the reading position while a pickle runs. Marks are positions on the stack below
// which nothing may be taken before the mark itself is.
class PickleMachine {
  public:
    PickleMachine(Pickle& pickle, std::string_view bytes, std::string_view source, std::size_t limit)
        : pickle_(pickle), bytes_(bytes), source_(source), limit_(limit) {}

    void run() {
        pickle_.nodes_.emplace_back();
        while (step()) {
            if (stack_.size() > limit_ || marks_.size() > limit_ || memo_.size() > limit_) exceed();
        }
        pickle_.size_ = position_;
    }

  private:
    using Kind = Pickle::Kind;
    using Value = Pickle::Value;
    using Node = Pickle::Node;

    template <class... Args>
    [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
        fail("{}: the pickle is malformed at byte {}: {}", source_, opcode_position_,
             fmt::format(format, std::forward<Args>(args)...));
    }

    [[noreturn]] void exceed() const {
        fail("{}: its pickle holds more than {} values, the limit for a file of this length", source_,
             limit_);
    }

    // ---- reading ----

    std::string_view take(std::uint64_t count) {
        if (count > bytes_.size() - position_)
            refuse("{} bytes expected, {} are left", count, bytes_.size() - position_);
        const std::string_view taken = bytes_.substr(position_, count);
        position_ += count;
        return taken;
    }
    // A little-endian number of `count` bytes, at most 8, as unsigned.
    std::uint64_t number(std::size_t count) {
        std::uint64_t value = 0;
        std::memcpy(&value, take(count).data(), count);
        return value;
    }
    std::string_view line() {
        const std::size_t end = bytes_.find('\n', position_);
        if (end == std::string_view::npos) refuse("a line that does not end");
        const std::string_view text = take(end - position_);
        ++position_;
        return text;
    }

    // ---- nodes and the stack ----

    Node& node(Value value) { return pickle_.nodes_[value]; }
    Value create(Kind kind) {
        if (pickle_.nodes_.size() >= limit_) exceed();
        pickle_.nodes_.emplace_back().kind = kind;
        return static_cast<Value>(pickle_.nodes_.size() - 1);
    }
    Value text(Kind kind, std::string_view content) {
        const Value value = create(kind);
        node(value).text = content;
        return value;
    }
    void push(Value value) { stack_.push_back(value); }
    void push_integer(Kind kind, std::int64_t content) {
        push(create(kind));
        node(stack_.back()).integer = content;
    }
    void push_real(double content) {
        push(create(Kind::real));
        node(stack_.back()).real = content;
    }
    void push_items(Kind kind, std::vector<Value> items) {
        push(create(kind));
        node(stack_.back()).items = std::move(items);
    }
    void push_object(Value callee, Value arguments) {
        push(create(Kind::object));
        node(stack_.back()).head = callee;
        node(stack_.back()).body = arguments;
    }
    void push_global(Value module, Value name) {
        push(create(Kind::global));
        node(stack_.back()).head = module;
        node(stack_.back()).body = name;
    }

    void require(std::size_t count) const {
        if (stack_.size() - (marks_.empty() ? 0 : marks_.back()) < count)
            refuse("{} values expected on the stack", count);
    }
    Value top() const {
        require(1);
        return stack_.back();
    }
    Value pop() {
        const Value value = top();
        stack_.pop_back();
        return value;
    }
    std::vector<Value> pop_some(std::size_t count) {
        require(count);
        const std::vector<Value> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
        stack_.resize(stack_.size() - count);
        return items;
    }
    // Everything above the last mark, and the mark.
    std::vector<Value> pop_to_mark() {
        if (marks_.empty()) refuse("a mark expected on the stack");
        std::vector<Value> items = pop_some(stack_.size() - marks_.back());
        marks_.pop_back();
        return items;
    }
    Value tuple_of(std::vector<Value> items) {
        const Value value = create(Kind::tuple);
        node(value).items = std::move(items);
        return value;
    }

    // Adds to the container on top of the stack; by key: pairs.
    void extend(const std::vector<Value>& items, Kind container) {
        Node& target = node(top());
        if (target.kind != container && target.kind != Kind::object)
            refuse("items for a value that holds none");
        if (container == Kind::dictionary && items.size() % 2 != 0) refuse("a key without a value");
        target.items.insert(target.items.end(), items.begin(), items.end());
    }

    // ---- the memo ----

    void put(std::uint64_t index) { memo_[index] = top(); }
    void get(std::uint64_t index) {
        const auto found = memo_.find(index);
        if (found == memo_.end()) refuse("memo {} was never filled", index);
        push(found->second);
    }
    std::uint64_t index_line() {
        const auto index = parse_number<std::uint64_t>(line());
        if (!index) refuse("a memo's number expected");
        return *index;
    }

    // ---- opcodes ----

    bool step();
    bool step_binary(unsigned char opcode);
    bool step_text(unsigned char opcode);
    bool step_container(unsigned char opcode);
    bool step_object(unsigned char opcode);
    bool step_memo(unsigned char opcode);
    void push_long(std::string_view little_endian);
    void push_decimal(std::string_view digits);

    Pickle& pickle_;
    std::string_view bytes_, source_;
    std::size_t limit_, position_ = 0, opcode_position_ = 0;
    std::vector<Value> stack_;
    std::vector<std::size_t> marks_;
    std::unordered_map<std::uint64_t, Value> memo_;
};

// False after STOP.
bool PickleMachine::step() {
    opcode_position_ = position_;
    const auto opcode = static_cast<unsigned char>(take(1)[0]);
    if (opcode == '.') {
        pickle_.root_ = pop();
        return false;
    }
    if (!step_memo(opcode) && !step_binary(opcode) && !step_container(opcode) && !step_object(opcode) &&
        !step_text(opcode))
        refuse("unknown opcode 0x{:02x}", opcode);
    return true;
}

bool PickleMachine::step_memo(unsigned char opcode) {
    switch (opcode) {
        case 'q':
            put(number(1));
            return true;  // BINPUT
        case 'r':
            put(number(4));
            return true;  // LONG_BINPUT
        case 'p':
            put(index_line());
            return true;  // PUT
        case 0x94:
            put(memo_.size());
            return true;  // MEMOIZE
        case 'h':
            get(number(1));
            return true;  // BINGET
        case 'j':
            get(number(4));
            return true;  // LONG_BINGET
        case 'g':
            get(index_line());
            return true;  // GET
        case '(':
            marks_.push_back(stack_.size());
            return true;  // MARK
        case '0':         // POP, of a mark as well
            if (!marks_.empty() && marks_.back() == stack_.size())
                marks_.pop_back();
            else
                pop();
            return true;
        case '1':
            pop_to_mark();
            return true;  // POP_MARK
        case '2':
            push(top());
            return true;  // DUP
        default:
            return false;
    }
}

// Numbers and texts in binary.
bool PickleMachine::step_binary(unsigned char opcode) {
    switch (opcode) {
        case 0x80: {  // PROTO
            const std::uint64_t protocol = number(1);
            if (protocol > 5) refuse("protocol {}, expected at most 5", protocol);
            return true;
        }
        case 0x95: {  // FRAME
            const std::uint64_t length = number(8);
            if (length > bytes_.size() - position_)
                refuse("a frame of {} bytes, {} are left", length, bytes_.size() - position_);
            return true;
        }
        case 'N':
            push(Pickle::nothing);
            return true;  // NONE
        case 0x88:
            push_integer(Kind::boolean, 1);
            return true;  // NEWTRUE
        case 0x89:
            push_integer(Kind::boolean, 0);
            return true;  // NEWFALSE
        case 'J':         // BININT
            push_integer(Kind::integer, static_cast<std::int32_t>(number(4)));
            return true;
        case 'K':
            push_integer(Kind::integer, static_cast<std::int64_t>(number(1)));
            return true;  // BININT1
        case 'M':
            push_integer(Kind::integer, static_cast<std::int64_t>(number(2)));
            return true;  // BININT2
        case 0x8a:
            push_long(take(number(1)));
            return true;  // LONG1
        case 0x8b:
            push_long(take(number(4)));
            return true;  // LONG4
        case 'G':         // BINFLOAT
            push_real(std::bit_cast<double>(__builtin_bswap64(number(8))));
            return true;
        case 'U':
            push(text(Kind::string, take(number(1))));
            return true;  // SHORT_BINSTRING
        case 'T':         // BINSTRING
        case 'X':
            push(text(Kind::string, take(number(4))));
            return true;  // BINUNICODE
        case 0x8c:
            push(text(Kind::string, take(number(1))));
            return true;  // SHORT_BINUNICODE
        case 0x8d:
            push(text(Kind::string, take(number(8))));
            return true;  // BINUNICODE8
        case 'C':
            push(text(Kind::bytes, take(number(1))));
            return true;  // SHORT_BINBYTES
        case 'B':
            push(text(Kind::bytes, take(number(4))));
            return true;  // BINBYTES
        case 0x8e:        // BINBYTES8
        case 0x96:
            push(text(Kind::bytes, take(number(8))));
            return true;  // BYTEARRAY8
        case 0x97:        // NEXT_BUFFER
        case 0x98:
            refuse("it refers to buffers outside of it");  // READONLY_BUFFER
        default:
            return false;
    }
}

// Numbers and texts as lines, from protocol 0.
bool PickleMachine::step_text(unsigned char opcode) {
    switch (opcode) {
        case 'I': {  // INT, with true and false as 01 and 00
            const std::string_view digits = line();
            if (digits == "00" || digits == "01")
                push_integer(Kind::boolean, digits[1] - '0');
            else
                push_decimal(digits);
            return true;
        }
        case 'L': {  // LONG
            std::string_view digits = line();
            if (digits.ends_with('L')) digits.remove_suffix(1);
            push_decimal(digits);
            return true;
        }
        case 'F': {  // FLOAT
            const auto value = parse_number<double>(line());
            if (!value) refuse("a number expected");
            push_real(*value);
            return true;
        }
        case 'S': {  // STRING, in quotes
            const std::string_view quoted = line();
            if (quoted.size() < 2 || quoted.front() != quoted.back() ||
                (quoted.front() != '\'' && quoted.front() != '"'))
                refuse("a text in quotes expected");
            pickle_.decoded_.push_back(decode_escapes(quoted.substr(1, quoted.size() - 2), false));
            push(text(Kind::string, pickle_.decoded_.back()));
            return true;
        }
        case 'V':  // UNICODE
            pickle_.decoded_.push_back(decode_escapes(line(), true));
            push(text(Kind::string, pickle_.decoded_.back()));
            return true;
        default:
            return false;
    }
}

bool PickleMachine::step_container(unsigned char opcode) {
    switch (opcode) {
        case ')':
            push(create(Kind::tuple));
            return true;  // EMPTY_TUPLE
        case ']':
            push(create(Kind::list));
            return true;  // EMPTY_LIST
        case '}':
            push(create(Kind::dictionary));
            return true;  // EMPTY_DICT
        case 0x8f:
            push(create(Kind::set));
            return true;  // EMPTY_SET
        case 't':
            push_items(Kind::tuple, pop_to_mark());
            return true;  // TUPLE
        case 0x85:
            push_items(Kind::tuple, pop_some(1));
            return true;  // TUPLE1
        case 0x86:
            push_items(Kind::tuple, pop_some(2));
            return true;  // TUPLE2
        case 0x87:
            push_items(Kind::tuple, pop_some(3));
            return true;  // TUPLE3
        case 'l':
            push_items(Kind::list, pop_to_mark());
            return true;  // LIST
        case 0x91:
            push_items(Kind::set, pop_to_mark());
            return true;  // FROZENSET
        case 'd': {       // DICT
            const std::vector<Value> items = pop_to_mark();
            push(create(Kind::dictionary));
            extend(items, Kind::dictionary);
            return true;
        }
        case 'a':
            extend(pop_some(1), Kind::list);
            return true;  // APPEND
        case 'e':
            extend(pop_to_mark(), Kind::list);
            return true;  // APPENDS
        case 's':
            extend(pop_some(2), Kind::dictionary);
            return true;  // SETITEM
        case 'u':
            extend(pop_to_mark(), Kind::dictionary);
            return true;  // SETITEMS
        case 0x90:
            extend(pop_to_mark(), Kind::set);
            return true;  // ADDITEMS
        default:
            return false;
    }
}

// Opcodes for which Python would import, call or look up objects.
bool PickleMachine::step_object(unsigned char opcode) {
    switch (opcode) {
        case 'c': {  // GLOBAL
            const Value module = text(Kind::string, line()), name = text(Kind::string, line());
            push_global(module, name);
            return true;
        }
        case 0x93: {  // STACK_GLOBAL
            const std::vector<Value> names = pop_some(2);
            push_global(names[0], names[1]);
            return true;
        }
        case 'i': {  // INST
            const Value module = text(Kind::string, line()), name = text(Kind::string, line()),
                        arguments = tuple_of(pop_to_mark());
            push_global(module, name);
            push_object(pop(), arguments);
            return true;
        }
        case 'o': {  // OBJ
            std::vector<Value> items = pop_to_mark();
            if (items.empty()) refuse("a class expected on the stack");
            const Value callee = items.front();
            items.erase(items.begin());
            push_object(callee, tuple_of(std::move(items)));
            return true;
        }
        case 'R':     // REDUCE
        case 0x81: {  // NEWOBJ
            const std::vector<Value> call = pop_some(2);
            push_object(call[0], call[1]);
            return true;
        }
        case 0x92: {  // NEWOBJ_EX; no object read here takes keywords
            const std::vector<Value> call = pop_some(3);
            push_object(call[0], call[1]);
            return true;
        }
        case 'b': {  // BUILD
            const Value state = pop();
            if (node(top()).kind != Kind::object) refuse("a state for a value that is no object");
            node(top()).state = state;
            return true;
        }
        case 'P':    // PERSID
        case 'Q': {  // BINPERSID
            const Value name = opcode == 'P' ? text(Kind::string, line()) : pop();
            push(create(Kind::persistent));
            node(stack_.back()).head = name;
            return true;
        }
        case 0x82:
            push_integer(Kind::extension, static_cast<std::int64_t>(number(1)));
            return true;  // EXT1
        case 0x83:
            push_integer(Kind::extension, static_cast<std::int64_t>(number(2)));
            return true;  // EXT2
        case 0x84:
            push_integer(Kind::extension, static_cast<std::int64_t>(number(4)));
            return true;  // EXT4
        default:
            return false;
    }
}

void PickleMachine::push_long(std::string_view little_endian) {
    if (little_endian.size() > 8) return push(text(Kind::long_integer, little_endian));
    const bool negative = !little_endian.empty() && (little_endian.back() & 0x80) != 0;
    std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
    std::memcpy(&value, little_endian.data(), little_endian.size());
    push_integer(Kind::integer, static_cast<std::int64_t>(value));
}

void PickleMachine::push_decimal(std::string_view digits) {
    if (const auto value = parse_number<std::int64_t>(digits)) return push_integer(Kind::integer, *value);
    const std::string_view unsigned_digits =
        digits.substr(digits.starts_with('-') || digits.starts_with('+'));
    if (unsigned_digits.empty() || unsigned_digits.find_first_not_of("0123456789") != std::string_view::npos)
        refuse("a whole number expected");
    push(text(Kind::long_integer, digits));
}

Pickle::Pickle(std::string_view bytes, std::string_view source, std::size_t limit) {
    PickleMachine(*this, bytes, source, limit).run();
}

std::size_t Pickle::limit_for(std::uint64_t file_bytes) {
    return std::max<std::uint64_t>(small_limit, std::min<std::uint64_t>(file_bytes / 8, UINT32_MAX));
}
