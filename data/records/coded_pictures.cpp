#include "data/records/coded_pictures.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstring>
#include <set>
#include <string_view>

#include "data/images/sheet.h"
#include "data/records/checksum.h"
#include "data/records/packed.h"
#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"

namespace {

static_assert(std::endian::native == std::endian::little, "files are read and written as they lie in memory");

constexpr std::uint32_t version = 1;
constexpr std::int64_t segment_bytes = std::int64_t{1} << 24, most_lanes = 1 << 16, most_pictures = 1 << 30;
constexpr std::size_t most_name_bytes = std::size_t{1} << 26, longest_name = 4096, checksum_bytes = 4;

std::string without_picture_ending(const std::string& name) {
    for (const std::string_view ending : {".png", ".jpg", ".jpeg"})
        if (name.size() > ending.size() &&
            std::ranges::equal(name.substr(name.size() - ending.size()), ending,
                               [](unsigned char a, char b) { return std::tolower(a) == b; }))
            return name.substr(0, name.size() - ending.size());
    return name;
}

// What is wrong with a name, "" for nothing.
std::string_view fault_of(std::string_view name) {
    if (name.empty() || name.size() > longest_name) return "empty or too long";
    if (std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
        return "with a control character";
    for (std::size_t begin = 0; begin <= name.size();) {
        const std::size_t end = std::min(name.find('/', begin), name.size());
        if (begin == end) return "with an empty part, or absolute";
        if (name[begin] == '.') return "with a part that starts with a dot";
        begin = end + 1;
    }
    return "";
}

std::string printable(std::string_view text) {
    std::string shown(text.substr(0, 80));
    std::ranges::replace_if(
        shown, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
    return shown;
}

std::string packed_names(const std::vector<std::string>& names, std::size_t& bytes) {
    std::string text;
    for (const std::string& name : names) text += name + '\n';
    bytes = text.size();
    uLongf size = compressBound(text.size());
    std::string packed(size, '\0');
    if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                  text.size(), Z_BEST_COMPRESSION) != Z_OK)
        fail("the names of {} pictures cannot be compressed", names.size());
    packed.resize(size);
    return packed;
}

// Takes the parts of a file one after the other; throws Error where it ends too early.
class Reader {
  public:
    Reader(std::string name, std::span<const std::uint8_t> bytes) : name_(std::move(name)), rest_(bytes) {}

    std::span<const std::uint8_t> take(std::size_t size, const char* what) {
        if (size > rest_.size()) fail("{}: ends within {}", name_, what);
        const auto taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }
    std::uint32_t u32(const char* what) {
        std::uint32_t value;
        std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
        return value;
    }
    std::size_t length(const char* what) {
        std::size_t value = 0;
        for (int shift = 0; shift < 56; shift += 7) {
            const std::uint8_t byte = take(1, what).front();
            value |= static_cast<std::size_t>(byte & 0x7f) << shift;
            if (byte < 0x80) return value;
        }
        fail("{}: {}: a length of more than 8 bytes", name_, what);
    }
    std::size_t left() const { return rest_.size(); }

  private:
    std::string name_;
    std::span<const std::uint8_t> rest_;
};

std::vector<std::string> read_names(const std::string& source, Reader& reader, std::int64_t count) {
    const std::size_t size = reader.u32("the length of the names"),
                      packed_size = reader.u32("the length of the packed names");
    const auto packed = reader.take(packed_size, "the names");
    if (size == 0 && packed_size == 0) return {};
    if (size > most_name_bytes)
        fail("{}: names of {} bytes, expected at most {}", source, size, most_name_bytes);
    std::string text(size, '\0');
    uLongf unpacked = size;
    if (uncompress(reinterpret_cast<Bytef*>(text.data()), &unpacked, packed.data(), packed.size()) != Z_OK ||
        unpacked != size || !text.ends_with('\n'))
        fail("{}: the names are damaged", source);
    std::vector<std::string> names;
    for (std::size_t begin = 0, end; begin < text.size(); begin = end + 1) {
        end = text.find('\n', begin);
        names.push_back(text.substr(begin, end - begin));
    }
    if (std::ssize(names) != count) fail("{}: {} names for {} pictures", source, names.size(), count);
    return names;
}

CodedHeader read_header(const std::string& source, Reader& reader) {
    CodedHeader header;
    header.size = reader.u32("the header");
    header.channels = reader.u32("the header");
    header.count = reader.u32("the header");
    header.lanes = reader.u32("the header");
    header.weights = reader.u32("the header");
    header.probe = reader.u32("the header");
    const auto words = reader.take(reader.take(1, "the header").front(), "the header");
    header.arithmetic = printable({reinterpret_cast<const char*>(words.data()), words.size()});
    header.names = read_names(source, reader, header.count);
    header.validate(source);
    return header;
}

CodedSegment read_segment(const CodedHeader& header, std::int64_t number, Reader& reader) {
    const std::int64_t n = header.pictures_of(number);
    CodedSegment segment;
    const auto checksums = reader.take(static_cast<std::size_t>(2 * n), "the checksums of pictures");
    segment.checksums.resize(static_cast<std::size_t>(n));
    std::memcpy(segment.checksums.data(), checksums.data(), checksums.size());
    for (std::int64_t lane = 0; lane < std::min(header.lanes, n); ++lane)
        segment.codes.push_back(reader.take(reader.length("the length of a code"), "a code"));
    return segment;
}

}  // namespace

std::int64_t CodedHeader::segment_pictures() const {
    return lanes * std::max<std::int64_t>(1, segment_bytes / (lanes * picture_bytes()));
}

std::int64_t CodedHeader::pictures_of(std::int64_t segment) const {
    return std::min(segment_pictures(), count - first_picture(segment));
}

std::string CodedHeader::decoded_name(std::int64_t picture) const {
    if (names.empty()) return image_name(picture, "");
    return without_picture_ending(names[static_cast<std::size_t>(picture)]) + ".png";
}

void CodedHeader::validate(const std::string& source) const {
    if (size < 1 || size > packed_maximum_size)
        fail("{}: pictures of size {}, expected 1 to {}", source, size, packed_maximum_size);
    if (channels != 1 && channels != 3) fail("{}: {} channels, expected 1 or 3", source, channels);
    if (count < 1 || count > most_pictures)
        fail("{}: {} pictures, expected 1 to {}", source, count, most_pictures);
    if (lanes < 1 || lanes > most_lanes) fail("{}: {} lanes, expected 1 to {}", source, lanes, most_lanes);
    std::set<std::string> decoded;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (const std::string_view fault = fault_of(names[i]); !fault.empty())
            fail("{}: picture {} has the name '{}', {}", source, i, printable(names[i]), fault);
        const std::string name = decoded_name(static_cast<std::int64_t>(i));
        if (!decoded.insert(name).second)
            fail("{}: two pictures would be decoded as '{}': rename one", source, name);
    }
}

std::uint16_t picture_checksum(std::span<const std::uint8_t> picture) {
    return static_cast<std::uint16_t>(checksum_of(0, picture.data(), picture.size()));
}

CodedWriter::CodedWriter(const std::filesystem::path& path, CodedHeader header)
    : header_(std::move(header)), file_(path) {
    header_.validate(path.string());
    write(coded_picture_magic.data(), coded_picture_magic.size());
    const auto u32 = [this](auto value) {
        const auto word = static_cast<std::uint32_t>(value);
        write(&word, sizeof word);
    };
    u32(version);
    for (const std::int64_t field : {header_.size, header_.channels, header_.count, header_.lanes})
        u32(field);
    u32(header_.weights);
    u32(header_.probe);
    const auto words = static_cast<std::uint8_t>(std::min<std::size_t>(header_.arithmetic.size(), 255));
    write(&words, 1);
    write(header_.arithmetic.data(), words);
    std::size_t bytes = 0;
    const std::string packed = header_.names.empty() ? "" : packed_names(header_.names, bytes);
    if (bytes > most_name_bytes)
        fail("{}: names of {} bytes, expected at most {}", path.string(), bytes, most_name_bytes);
    u32(bytes);
    u32(packed.size());
    write(packed.data(), packed.size());
    name_bytes_ = static_cast<std::int64_t>(packed.size());
}

void CodedWriter::write(const void* bytes, std::size_t size) {
    file_.write(bytes, size);
    checksum_ = checksum_of(checksum_, bytes, size);
    bytes_ += static_cast<std::int64_t>(size);
}

void CodedWriter::add(const CodedSegment& segment) {
    write(segment.checksums.data(), 2 * segment.checksums.size());
    for (const std::span<const std::uint8_t> code : segment.codes) {
        std::vector<std::uint8_t> length;
        for (std::size_t rest = code.size(); length.empty() || rest > 0; rest >>= 7)
            length.push_back(static_cast<std::uint8_t>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0)));
        write(length.data(), length.size());
        write(code.data(), code.size());
    }
}

void CodedWriter::commit() {
    const std::uint32_t checksum = checksum_;
    write(&checksum, sizeof checksum);
    file_.commit();
}

CodedFile::CodedFile(const std::filesystem::path& path) : file_(path) {
    const std::string name = path.string();
    const std::span<const std::uint8_t> bytes{reinterpret_cast<const std::uint8_t*>(file_.bytes().data()),
                                              file_.bytes().size()};
    if (bytes.size() < coded_picture_magic.size() ||
        std::memcmp(bytes.data(), coded_picture_magic.data(), coded_picture_magic.size()) != 0)
        fail("{}: not a file of coded pictures: it does not start with \"{}\"", name, coded_picture_magic);
    Reader reader(name, bytes.subspan(coded_picture_magic.size()));
    if (const std::uint32_t found = reader.u32("the header"); found != version)
        fail("{}: version {}, expected {}", name, found, version);
    std::uint32_t checksum = 0;
    if (reader.left() >= checksum_bytes)
        std::memcpy(&checksum, bytes.data() + bytes.size() - checksum_bytes, checksum_bytes);
    if (reader.left() < checksum_bytes ||
        checksum_of(0, bytes.data(), bytes.size() - checksum_bytes) != checksum)
        fail("{}: cut off or damaged: it differs from its checksum", name);
    header_ = read_header(name, reader);
    for (std::int64_t segment = 0; segment < header_.segments(); ++segment)
        segments_.push_back(read_segment(header_, segment, reader));
    if (reader.left() != checksum_bytes)
        fail("{}: {} bytes behind the last code, expected a checksum of {}", name, reader.left(),
             checksum_bytes);
}
