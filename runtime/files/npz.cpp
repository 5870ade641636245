#include "runtime/files/npz.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/mapped_file.h"

namespace {

constexpr std::string_view suffix = ".npy";
constexpr WantedFile wanted{"NumPy archive (.npz)", ".npz"};
constexpr std::size_t piece_bytes = 1 << 20;  // a multiple of any number's size

std::string entry_of(std::string_view key) {
    return std::string(key) + std::string(suffix);
}

void swap_bytes(std::span<std::byte> bytes, std::size_t element_bytes) {
    for (std::size_t i = 0; i + element_bytes <= bytes.size(); i += element_bytes)
        std::ranges::reverse(bytes.subspan(i, element_bytes));
}

template <class From, class To>
void convert(std::span<const std::byte> bytes, To* to) {
    for (std::size_t i = 0; i < bytes.size() / sizeof(From); ++i) {
        From value;
        std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
        to[i] = static_cast<To>(value);
    }
}

void convert_numbers(ScalarType type, std::span<const std::byte> bytes, float* to) {
    convert_to_float(type, bytes.data(), bytes.size() / scalar_bytes(type), to);
}

// Numbers of at most 2 bytes are fp32 numbers as well.
void convert_numbers(ScalarType type, std::span<const std::byte> bytes, double* to) {
    if (type == ScalarType::float64) return convert<double>(bytes, to);
    if (type == ScalarType::float32) return convert<float>(bytes, to);
    if (type == ScalarType::int64) return convert<std::int64_t>(bytes, to);
    if (type == ScalarType::int32) return convert<std::int32_t>(bytes, to);
    if (type == ScalarType::uint64) return convert<std::uint64_t>(bytes, to);
    if (type == ScalarType::uint32) return convert<std::uint32_t>(bytes, to);
    std::vector<float> exact(bytes.size() / scalar_bytes(type));
    convert_numbers(type, bytes, exact.data());
    std::ranges::copy(exact, to);
}

// Fortran order to C order.
template <class T>
std::vector<T> transposed(const std::vector<T>& values, const std::vector<std::int64_t>& shape) {
    std::vector<std::int64_t> index(shape.size()), stride(shape.size(), 1);
    for (std::size_t axis = 1; axis < shape.size(); ++axis) stride[axis] = stride[axis - 1] * shape[axis - 1];
    std::vector<T> result(values.size());
    std::int64_t from = 0;
    for (T& value : result) {
        value = values[static_cast<std::size_t>(from)];
        for (std::size_t axis = shape.size(); axis-- > 0;) {
            from += stride[axis];
            if (++index[axis] < shape[axis]) break;
            from -= stride[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    return result;
}

constexpr char32_t replacement = 0xfffd;

bool is_character(char32_t code) {
    return code < 0xd800 || (code > 0xdfff && code < 0x110000);
}

void append_utf8(std::string& text, char32_t code) {
    if (!is_character(code)) code = replacement;
    const auto append = [&](char32_t byte) { text += static_cast<char>(byte); };
    const auto append_low = [&](int shift) { append(0x80 | (code >> shift & 0x3f)); };
    if (code < 0x80) return append(code);
    if (code < 0x800) {
        append(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        append(0xe0 | code >> 12);
        append_low(6);
    } else {
        append(0xf0 | code >> 18);
        append_low(12);
        append_low(6);
    }
    append_low(0);
}

std::u32string decode_utf8(std::string_view text) {
    std::u32string codes;
    while (!text.empty()) {
        const auto first = static_cast<unsigned char>(text[0]);
        const std::size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        char32_t code = length == 1 ? first : first & (0x7f >> length);
        for (std::size_t i = 1; i < std::min(length, text.size()); ++i)
            code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
        // Valid are the bytes that this character is encoded as, and no others.
        std::string encoded;
        append_utf8(encoded, code);
        const bool is_valid = text.starts_with(encoded);
        codes += is_valid ? code : replacement;
        text.remove_prefix(is_valid ? length : 1);
    }
    return codes;
}

}  // namespace

NpzFile::NpzFile(std::filesystem::path path) : path_(std::move(path)) {
    {
        const MappedFile file(path_);
        const std::string_view start(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
        if (!start.starts_with("PK\3\4") && !start.starts_with("PK\5\6")) {
            const std::string kind = foreign_kind(start, start.size(), wanted);
            fail("{}: {}", path_.string(), kind.empty() ? fmt::format("not a {}", wanted.noun) : kind);
        }
    }
    archive_ = std::make_unique<const ZipArchive>(path_);
    for (const std::string& entry : archive_->names())
        if (entry.ends_with(suffix)) names_.push_back(entry.substr(0, entry.size() - suffix.size()));
    std::ranges::sort(names_);
    if (names_.empty())
        fail("{}: {} that holds no array (NAME.npy), not a {}", path_.string(),
             archive_->find_ending("data.pkl") ? "a torch checkpoint" : "a zip archive", wanted.noun);
}

bool NpzFile::contains(std::string_view key) const {
    return std::ranges::binary_search(names_, key);
}

void NpzFile::fail_missing(std::string_view key) const {
    constexpr std::size_t most = 8;
    const auto named = std::span(names_).first(std::min(most, names_.size()));
    fail("{}: holds no array {}, but {}{}", path_.string(), key, fmt::join(named, ", "),
         names_.size() > most ? fmt::format(" and {} more", names_.size() - most) : "");
}

// The entry is read on from where the last read of it ended, unless that is behind `position`.
ZipReader& NpzFile::reader_at(const std::string& entry, std::uint64_t position) const {
    if (!reader_ || reader_->name() != entry || reader_->position() > position)
        reader_ = std::make_unique<ZipReader>(*archive_, entry);
    reader_->skip_to(position);
    return *reader_;
}

const NpyArray& NpzFile::describe(std::string_view key) const {
    if (const auto known = arrays_.find(key); known != arrays_.end()) return known->second;
    if (!contains(key)) fail_missing(key);
    const std::string entry = entry_of(key), name = path_.string() + ": " + entry;
    ZipReader& reader = reader_at(entry, 0);
    const auto read = [&](std::string& bytes, std::uint64_t size) {
        const std::size_t before = bytes.size();
        bytes.resize(static_cast<std::size_t>(size));
        reader.read(std::as_writable_bytes(std::span(bytes)).subspan(before));
    };
    std::string header;
    read(header, std::min<std::uint64_t>(npy_start_bytes, reader.size()));
    const std::size_t header_bytes = npy_header_bytes(header, name);
    if (header_bytes > reader.size())
        fail("{}: cut off: its header has {} bytes, the entry {}", name, header_bytes, reader.size());
    if (header.size() < header_bytes) read(header, header_bytes);
    header.resize(header_bytes);
    NpyArray array = parse_npy_header(header, name);
    const std::uint64_t bytes = reader.size() - header_bytes;
    if (bytes != array.bytes())
        fail("{}: {} bytes after its header, expected the {} of {} in the shape {}", name, bytes,
             array.bytes(), array.dtype, shape_text(array.shape));
    return arrays_.emplace(key, std::move(array)).first->second;
}

const NpyArray& NpzFile::description(std::string_view key) const {
    const std::lock_guard lock(mutex_);
    return describe(key);
}

template <class T>
std::vector<T> NpzFile::values(std::string_view key) const {
    const std::lock_guard lock(mutex_);
    const NpyArray& array = describe(key);
    const std::string entry = entry_of(key);
    if (!array.type) fail("{}: {}: text ({}), expected numbers", path_.string(), entry, array.dtype);
    ZipReader& reader = reader_at(entry, array.header_bytes);
    std::vector<T> values(static_cast<std::size_t>(array.count()));
    const auto read = [&](std::span<std::byte> bytes) {
        reader.read(bytes);
        if (array.big_endian) swap_bytes(bytes, array.element_bytes);
    };
    if (array.type == (std::is_same_v<T, double> ? ScalarType::float64 : ScalarType::float32)) {
        read(std::as_writable_bytes(std::span(values)));
    } else {
        std::vector<std::byte> buffer(std::min<std::uint64_t>(piece_bytes, array.bytes()));
        for (std::size_t done = 0; done < values.size();) {
            const std::size_t count = std::min(buffer.size() / array.element_bytes, values.size() - done);
            const auto piece = std::span(buffer).first(count * array.element_bytes);
            read(piece);
            convert_numbers(*array.type, piece, values.data() + done);
            done += count;
        }
    }
    if (array.fortran_order) return transposed(values, array.shape);
    return values;
}

std::vector<double> NpzFile::doubles(std::string_view key) const {
    return values<double>(key);
}

std::vector<float> NpzFile::floats(std::string_view key) const {
    return values<float>(key);
}

std::string NpzFile::text(std::string_view key) const {
    const std::lock_guard lock(mutex_);
    const NpyArray& array = describe(key);
    const std::string entry = entry_of(key);
    if (array.type || !array.shape.empty())
        fail("{}: {}: {} in the shape {}, expected a single text", path_.string(), entry, array.dtype,
             shape_text(array.shape));
    std::u32string codes(array.element_bytes / sizeof(char32_t), U'\0');
    const auto bytes = std::as_writable_bytes(std::span(codes));
    reader_at(entry, array.header_bytes).read(bytes);
    if (array.big_endian) swap_bytes(bytes, sizeof(char32_t));
    codes.resize(codes.find_last_not_of(U'\0') + 1);  // shorter texts are filled up
    std::string text;
    for (const char32_t code : codes) append_utf8(text, code);
    return text;
}

void NpzFile::read_bytes(std::string_view key, std::uint64_t first_byte, std::span<std::byte> bytes) const {
    const std::lock_guard lock(mutex_);
    const NpyArray& array = describe(key);
    const std::string entry = entry_of(key);
    if (array.fortran_order)
        fail("{}: {}: in Fortran order, expected C order (numpy.ascontiguousarray)", path_.string(), entry);
    if (first_byte > array.bytes() || bytes.size() > array.bytes() - first_byte)
        fail("{}: {}: {} bytes from byte {} on are not within its {}", path_.string(), entry, bytes.size(),
             first_byte, array.bytes());
    if (!bytes.empty()) reader_at(entry, array.header_bytes + first_byte).read(bytes);
}

void NpzWriter::add_bytes(std::string_view key, std::string_view dtype,
                          const std::vector<std::int64_t>& shape, std::span<const std::byte> bytes) {
    if (!keys_.emplace(key).second) fail("array {}: added twice", key);
    const std::string header = npy_header(dtype, shape);
    const std::array<std::string_view, 2> parts{
        header, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
    if (parse_npy_header(header, entry_of(key)).bytes() != bytes.size())
        fail("array {}: {} bytes, which are not the shape {} of {}", key, bytes.size(), shape_text(shape),
             dtype);
    zip_.add(entry_of(key), parts);
}

void NpzWriter::add(std::string_view key, const std::vector<std::int64_t>& shape,
                    std::span<const double> values) {
    add_bytes(key, "<f8", shape, std::as_bytes(values));
}

void NpzWriter::add(std::string_view key, const std::vector<std::int64_t>& shape,
                    std::span<const float> values) {
    add_bytes(key, "<f4", shape, std::as_bytes(values));
}

void NpzWriter::add(std::string_view key, const std::vector<std::int64_t>& shape,
                    std::span<const std::uint8_t> values) {
    add_bytes(key, "|u1", shape, std::as_bytes(values));
}

void NpzWriter::add_text(std::string_view key, std::string_view text) {
    std::u32string codes = decode_utf8(text);
    if (codes.empty()) codes.push_back(U'\0');  // as NumPy, which has no text of no length
    add_bytes(key, fmt::format("<U{}", codes.size()), {}, std::as_bytes(std::span(codes)));
}
