#include "runtime/files/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/one_line.h"

namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t maximum_rank = 64, alignment = 64;

struct NumberType {
    std::string_view code;
    ScalarType type;
};
constexpr std::array number_types{
    NumberType{"f8", ScalarType::float64}, NumberType{"f4", ScalarType::float32},
    NumberType{"f2", ScalarType::float16}, NumberType{"i8", ScalarType::int64},
    NumberType{"i4", ScalarType::int32},   NumberType{"i2", ScalarType::int16},
    NumberType{"i1", ScalarType::int8},    NumberType{"u8", ScalarType::uint64},
    NumberType{"u4", ScalarType::uint32},  NumberType{"u2", ScalarType::uint16},
    NumberType{"u1", ScalarType::uint8},   NumberType{"b1", ScalarType::boolean},
};

// The dictionary of a header: these three keys, each once, in any order.
class HeaderParser {
  public:
    HeaderParser(std::string_view text, const std::string& name) : text_(text), rest_(text), name_(name) {}

    NpyArray parse() {
        bool has_dtype = false, has_order = false, has_shape = false;
        expect('{');
        while (!accept('}')) {
            const std::string_view key = quoted();
            expect(':');
            if (key == "descr" && !std::exchange(has_dtype, true))
                dtype();
            else if (key == "fortran_order" && !std::exchange(has_order, true))
                array_.fortran_order = boolean();
            else if (key == "shape" && !std::exchange(has_shape, true))
                shape();
            else
                fail("{}: its header has the key \"{}\", expected descr, fortran_order and shape once each",
                     name_, one_line(key));
            if (accept(',')) continue;
            expect('}');
            break;
        }
        skip_space();
        if (!rest_.empty()) fail_malformed();
        if (!has_dtype || !has_order || !has_shape)
            fail("{}: its header lacks {}", name_,
                 !has_dtype   ? "the key descr"
                 : !has_order ? "the key fortran_order"
                              : "the key shape");
        check_size();
        return std::move(array_);
    }

  private:
    [[noreturn]] void fail_malformed() const {
        constexpr std::size_t shown = 40;
        fail("{}: its header is malformed at byte {}: \"{}\"", name_, text_.size() - rest_.size(),
             one_line(rest_.substr(0, shown)));
    }
    void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n\r\f"), rest_.size())); }
    bool accept(std::string_view word) {
        skip_space();
        if (!rest_.starts_with(word)) return false;
        rest_.remove_prefix(word.size());
        return true;
    }
    bool accept(char c) { return accept(std::string_view(&c, 1)); }
    void expect(char c) {
        if (!accept(c)) fail_malformed();
    }

    // Without escapes, of which the keys and types that are read have none.
    std::string_view quoted() {
        skip_space();
        const char quote = rest_.empty() ? '\0' : rest_.front();
        const std::size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
        if (end == std::string_view::npos) fail_malformed();
        const std::string_view content = rest_.substr(1, end - 1);
        if (content.find('\\') != std::string_view::npos) fail_malformed();
        rest_.remove_prefix(end + 1);
        return content;
    }

    bool boolean() {
        if (accept("True")) return true;
        if (!accept("False")) fail_malformed();
        return false;
    }

    void dtype() {
        skip_space();
        if (rest_.starts_with('[') || rest_.starts_with('('))
            fail("{}: a structured array, expected one of numbers", name_);
        array_.dtype = quoted();
        std::string_view code = array_.dtype;
        const char order = code.empty() ? '\0' : code.front();
        if (order == '<' || order == '>' || order == '|') code.remove_prefix(1);
        if (code.starts_with('O'))
            fail("{}: holds pickled Python objects, which are never loaded, expected numbers", name_);
        array_.big_endian = order == '>';
        const auto found = std::ranges::find(number_types, code, &NumberType::code);
        if (found != number_types.end()) {
            array_.type = found->type;
            array_.element_bytes = scalar_bytes(found->type);
            if (order == '<' || order == '>' || (order == '|' && array_.element_bytes == 1)) return;
        }
        std::uint32_t length = 0;
        const char *digits = code.data() + 1, *end = code.data() + code.size();
        if ((order == '<' || order == '>') && code.starts_with('U')) {
            const auto [stop, error] = std::from_chars(digits, end, length);
            array_.element_bytes = std::size_t{4} * length;
            if (stop == end && error == std::errc()) return;
        }
        fail("{}: has the dtype {}, expected float, int or uint of either byte order, bool or text", name_,
             one_line(array_.dtype));
    }

    void shape() {
        expect('(');
        while (!accept(')')) {
            array_.shape.push_back(size());
            if (array_.shape.size() > maximum_rank)
                fail("{}: a shape of more than {} sizes", name_, maximum_rank);
            if (accept(',')) continue;
            // "(3)" is a number in Python, not a tuple.
            if (array_.shape.size() == 1) fail_malformed();
            expect(')');
            break;
        }
    }

    std::int64_t size() {
        skip_space();
        std::int64_t value = 0;
        const char *start = rest_.data(), *end = start + rest_.size();
        const auto [stop, error] = std::from_chars(start, end, value);
        if (error == std::errc::invalid_argument) fail_malformed();
        const std::string_view digits = rest_.substr(0, static_cast<std::size_t>(stop - start));
        if (error != std::errc() || value < 0) fail("{}: a size of {} in its shape", name_, digits);
        rest_.remove_prefix(digits.size());
        if (rest_.starts_with('L')) rest_.remove_prefix(1);  // a long of Python 2
        return value;
    }

    // Sizes of 0 left out, so that not even a row of an empty array overflows.
    void check_size() const {
        auto bytes = static_cast<std::int64_t>(std::max<std::size_t>(array_.element_bytes, 1));
        for (const std::int64_t size : array_.shape)
            if (size > 0 && __builtin_mul_overflow(bytes, size, &bytes))
                fail("{}: the shape {} of {} has more bytes than 64 bits count", name_,
                     shape_text(array_.shape), array_.dtype);
    }

    std::string_view text_, rest_;
    const std::string& name_;
    NpyArray array_;
};

std::uint32_t little_endian(std::string_view bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

// Bytes before the header's text, 0 for an unknown version.
std::size_t text_start(std::string_view start) {
    if (start[magic.size() + 1] != 0) return 0;
    const char version = start[magic.size()];
    return version == 1 ? 10 : version == 2 || version == 3 ? 12 : 0;
}

}  // namespace

std::int64_t NpyArray::count() const {
    std::int64_t product = 1;
    for (const std::int64_t size : shape) {
        if (size == 0) return 0;
        product *= size;
    }
    return product;
}

std::size_t npy_header_bytes(std::string_view start, const std::string& name) {
    if (!start.starts_with(magic.substr(0, start.size())) || start.empty())
        fail("{}: not a NumPy array, expected one to begin with \\x93NUMPY", name);
    if (start.size() < magic.size() + 2) fail("{}: cut off after {} bytes", name, start.size());
    const std::size_t text = text_start(start);
    if (text == 0)
        fail("{}: version {}.{} of NumPy's format, expected 1.0, 2.0 or 3.0", name,
             static_cast<unsigned char>(start[magic.size()]),
             static_cast<unsigned char>(start[magic.size() + 1]));
    if (start.size() < text) fail("{}: cut off after {} bytes", name, start.size());
    const std::size_t length = little_endian(start.substr(magic.size() + 2, text - magic.size() - 2));
    if (length > maximum_npy_header - text)
        fail("{}: a header of {} bytes, expected at most {}", name, length, maximum_npy_header - text);
    return text + length;
}

NpyArray parse_npy_header(std::string_view header, const std::string& name) {
    NpyArray array = HeaderParser(header.substr(text_start(header)), name).parse();
    array.header_bytes = header.size();
    return array;
}

std::string npy_header(std::string_view dtype, const std::vector<std::int64_t>& shape) {
    std::string text =
        fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype, shape_text(shape));
    std::string header(magic);
    header += std::string_view("\1\0", 2);
    const std::size_t before = header.size() + 2;
    text.resize((before + text.size() + alignment) / alignment * alignment - before, ' ');
    text.back() = '\n';
    header += static_cast<char>(text.size());
    header += static_cast<char>(text.size() >> 8);
    return header + text;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
    return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}
