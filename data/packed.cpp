#include "data/packed.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "runtime/error.h"

namespace {

static_assert(std::endian::native == std::endian::little,
              "packed files are read and written as they lie in memory");

constexpr std::string_view magic = "fractpak";
constexpr std::uint32_t version = 1;
constexpr std::size_t header_alignment = 64;  // so that records of a cache line's multiple start on one
constexpr std::size_t fixed_header_bytes = 32, checksum_bytes = 4;
constexpr std::size_t maximum_header_bytes = std::size_t{1} << 24;
constexpr std::size_t write_buffer_bytes = std::size_t{1} << 20;

std::uint32_t checksum_of(std::uint32_t start, const void* bytes, std::size_t size) {
    return static_cast<std::uint32_t>(crc32_z(start, static_cast<const Bytef*>(bytes), size));
}

std::uint32_t read_u32(const std::uint8_t* bytes) {
    std::uint32_t value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

void append_u32(std::string& bytes, std::uint32_t value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string header_of(int size, int channels, std::uint32_t count, const std::vector<std::string>& classes) {
    std::size_t length = fixed_header_bytes + checksum_bytes;
    for (const std::string& name : classes) length += sizeof(std::uint32_t) + name.size();
    length = (length + header_alignment - 1) / header_alignment * header_alignment;

    std::string bytes(magic);
    append_u32(bytes, version);
    append_u32(bytes, static_cast<std::uint32_t>(length));
    append_u32(bytes, static_cast<std::uint32_t>(size));
    append_u32(bytes, static_cast<std::uint32_t>(channels));
    append_u32(bytes, count);
    append_u32(bytes, static_cast<std::uint32_t>(classes.size()));
    for (const std::string& name : classes) {
        append_u32(bytes, static_cast<std::uint32_t>(name.size()));
        bytes += name;
    }
    bytes.resize(length - checksum_bytes);
    append_u32(bytes, checksum_of(0, bytes.data(), bytes.size()));
    return bytes;
}

std::int64_t blocks_in(std::int64_t count) {
    return (count + packed_block_records - 1) / packed_block_records;
}

// Length of the whole file; cannot overflow within the limits that are checked before.
std::uint64_t length_of(std::uint64_t header_bytes, std::int64_t record_bytes, std::int64_t count) {
    return header_bytes + static_cast<std::uint64_t>(count * (record_bytes + 4) + blocks_in(count) * 4);
}

}  // namespace

PackedFile::PackedFile(const std::filesystem::path& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail("{}: cannot be opened: {}", path.string(), std::strerror(errno));
    try {
        struct stat status;
        if (::fstat(descriptor_, &status) != 0)
            fail("{}: cannot be read: {}", path.string(), std::strerror(errno));
        if (!S_ISREG(status.st_mode)) fail("{}: not a file", path.string());
        file_bytes_ = static_cast<std::uint64_t>(status.st_size);
        if (file_bytes_ < header_alignment)
            fail("{}: not a packed image file: only {} bytes long", path.string(), file_bytes_);
        void* map = ::mmap(nullptr, file_bytes_, PROT_READ, MAP_SHARED, descriptor_, 0);
        if (map == MAP_FAILED) fail("{}: cannot be mapped: {}", path.string(), std::strerror(errno));
        bytes_ = static_cast<const std::uint8_t*>(map);
        parse_header();
        check_labels();
    } catch (...) {
        if (bytes_ != nullptr) ::munmap(const_cast<std::uint8_t*>(bytes_), file_bytes_);
        ::close(descriptor_);
        throw;
    }
}

PackedFile::~PackedFile() {
    ::munmap(const_cast<std::uint8_t*>(bytes_), file_bytes_);
    ::close(descriptor_);
}

void PackedFile::parse_header() {
    const std::string name = path_.string();
    if (std::memcmp(bytes_, magic.data(), magic.size()) != 0)
        fail("{}: not a packed image file: it does not start with \"{}\"", name, magic);
    const std::uint32_t found_version = read_u32(bytes_ + 8), header_bytes = read_u32(bytes_ + 12);
    if (found_version != version) fail("{}: version {}, expected {}", name, found_version, version);
    if (header_bytes < header_alignment || header_bytes > maximum_header_bytes ||
        header_bytes > file_bytes_ || header_bytes % header_alignment != 0)
        fail("{}: the header is damaged: its length is given as {} bytes", name, header_bytes);
    const std::size_t names_end = header_bytes - checksum_bytes;
    if (checksum_of(0, bytes_, names_end) != read_u32(bytes_ + names_end))
        fail("{}: the header is damaged: it differs from its checksum", name);

    const std::uint32_t size = read_u32(bytes_ + 16), channels = read_u32(bytes_ + 20);
    const std::uint32_t count = read_u32(bytes_ + 24), class_count = read_u32(bytes_ + 28);
    if (size < 1 || size > packed_maximum_size)
        fail("{}: images of size {}, expected 1 to {}", name, size, packed_maximum_size);
    if (channels != 1 && channels != 3) fail("{}: {} channels, expected 1 or 3", name, channels);
    if (count < 1 || count > std::numeric_limits<std::int32_t>::max())
        fail("{}: {} images, expected 1 to {}", name, count, std::numeric_limits<std::int32_t>::max());
    size_ = static_cast<int>(size);
    channels_ = static_cast<int>(channels);
    count_ = count;

    std::size_t position = fixed_header_bytes;
    for (std::uint32_t i = 0; i < class_count; ++i) {
        if (names_end - position < 4) fail("{}: the header ends within class name {}", name, i);
        const std::uint32_t length = read_u32(bytes_ + position);
        position += 4;
        if (names_end - position < length) fail("{}: the header ends within class name {}", name, i);
        classes_.emplace_back(reinterpret_cast<const char*>(bytes_ + position), length);
        position += length;
    }

    const std::uint64_t expected = length_of(header_bytes, record_bytes(), count_);
    if (file_bytes_ != expected)
        fail("{}: {} bytes long, expected {} for {} images of {}x{}x{}: it was cut or extended", name,
             file_bytes_, expected, count_, channels_, size_, size_);
    pixels_ = bytes_ + header_bytes;
    labels_ = pixels_ + count_ * record_bytes();
    checksums_ = labels_ + count_ * 4;
}

void PackedFile::check_labels() const {
    const int classes = static_cast<int>(classes_.size());
    for (std::int64_t i = 0; i < count_; ++i)
        if (label(i) < -1 || label(i) >= classes)
            fail("{}: record {} has label {}, expected -1 to {}", path_.string(), i, label(i), classes - 1);
}

int PackedFile::label(std::int64_t i) const {
    return static_cast<std::int32_t>(read_u32(labels_ + i * 4));
}

std::uint32_t PackedFile::block_checksum(std::int64_t block) const {
    const std::int64_t first = block * packed_block_records;
    const std::int64_t records = std::min(packed_block_records, count_ - first);
    const std::uint32_t of_pixels =
        checksum_of(0, pixels(first), static_cast<std::size_t>(records * record_bytes()));
    return checksum_of(of_pixels, labels_ + first * 4, static_cast<std::size_t>(records * 4));
}

void PackedFile::verify() const {
    check_length();
    const std::int64_t blocks = blocks_in(count_);
    std::int64_t bad = blocks;
#pragma omp parallel for schedule(dynamic) reduction(min : bad)
    for (std::int64_t block = 0; block < blocks; ++block)
        if (block_checksum(block) != read_u32(checksums_ + block * 4)) bad = std::min(bad, block);
    if (bad < blocks)
        fail("{}: block {} (records {} to {}) is damaged: it differs from its checksum", path_.string(), bad,
             bad * packed_block_records, std::min(count_, (bad + 1) * packed_block_records) - 1);
}

void PackedFile::check_length() const {
    struct stat status;
    if (::fstat(descriptor_, &status) != 0)
        fail("{}: cannot be read: {}", path_.string(), std::strerror(errno));
    if (static_cast<std::uint64_t>(status.st_size) != file_bytes_)
        fail("{}: its length changed from {} to {} bytes while it was being read", path_.string(),
             file_bytes_, static_cast<std::uint64_t>(status.st_size));
}

PackedWriter::PackedWriter(std::filesystem::path path, int size, int channels,
                           std::vector<std::string> classes)
    : path_(std::move(path)), file_(path_), size_(size), channels_(channels), classes_(std::move(classes)) {
    if (std::filesystem::is_directory(path_))
        fail("{}: is a folder, expected a file to write", path_.string());
    if (size < 1 || size > packed_maximum_size)
        fail("{}: images of size {}, expected 1 to {}", path_.string(), size, packed_maximum_size);
    if (channels != 1 && channels != 3) fail("{}: {} channels, expected 1 or 3", path_.string(), channels);
    // The header's length depends on the class names alone, so that its place can be kept free until the
    // count is known.
    const std::string header = header_of(size_, channels_, 0, classes_);
    if (header.size() > maximum_header_bytes)
        fail("{}: the names of {} classes need {} bytes, more than {}", path_.string(), classes_.size(),
             header.size(), maximum_header_bytes);
    file_.write(header);
}

void PackedWriter::add(const std::uint8_t* pixels, int label) {
    if (label < -1 || label >= static_cast<int>(classes_.size()))
        fail("{}: record {} has label {}, expected -1 to {}", path_.string(), count(), label,
             static_cast<int>(classes_.size()) - 1);
    if (count() == std::numeric_limits<std::int32_t>::max())
        fail("{}: more than {} images", path_.string(), count());
    const std::size_t record_bytes =
        static_cast<std::size_t>(channels_) * static_cast<std::size_t>(size_ * size_);
    running_checksum_ = checksum_of(running_checksum_, pixels, record_bytes);
    pending_.insert(pending_.end(), pixels, pixels + record_bytes);
    labels_.push_back(label);
    if (pending_.size() >= write_buffer_bytes) flush();
    if (count() % packed_block_records == 0) close_block();
}

void PackedWriter::flush() {
    file_.write(pending_.data(), pending_.size());
    pending_.clear();
}

void PackedWriter::close_block() {
    const std::size_t first = checksums_.size() * packed_block_records;
    checksums_.push_back(
        checksum_of(running_checksum_, labels_.data() + first, (labels_.size() - first) * 4));
    running_checksum_ = 0;
}

void PackedWriter::finish() {
    if (count() == 0) fail("{}: no images to write", path_.string());
    if (count() % packed_block_records != 0) close_block();
    flush();
    file_.write(labels_.data(), labels_.size() * 4);
    file_.write(checksums_.data(), checksums_.size() * 4);
    const std::string header = header_of(size_, channels_, static_cast<std::uint32_t>(count()), classes_);
    file_.write_at(0, header.data(), header.size());
    finished_ = true;
}

void PackedWriter::commit() {
    if (!finished_) finish();
    file_.commit();
}
