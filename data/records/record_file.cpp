#include "data/records/record_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/common/threads.h"
#include "runtime/base/error.h"

namespace {

static_assert(std::endian::native == std::endian::little,
              "files of records are read and written as they lie in memory");

constexpr std::uint32_t plain_version = 1, captioned_version = 2;
constexpr std::size_t header_alignment = 64;  // so that records of a cache line's multiple start on one
constexpr std::size_t fields_begin = 16, checksum_bytes = 4;
constexpr std::size_t maximum_header_bytes = std::size_t{1} << 24;
constexpr std::size_t write_buffer_bytes = std::size_t{1} << 20;

std::uint32_t read_u32(const std::uint8_t* bytes) {
    std::uint32_t value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

void append_u32(std::string& bytes, std::uint32_t value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Where the class names start, behind the fields, the count and their number.
std::size_t names_begin(std::size_t fields) {
    return fields_begin + 4 * (fields + 2);
}

std::string header_of(std::string_view magic, std::uint32_t version, const std::vector<std::uint32_t>& fields,
                      std::uint32_t count, const std::vector<std::string>& classes) {
    std::size_t length = names_begin(fields.size()) + checksum_bytes;
    for (const std::string& name : classes) length += sizeof(std::uint32_t) + name.size();
    length = (length + header_alignment - 1) / header_alignment * header_alignment;

    std::string bytes(magic);
    append_u32(bytes, version);
    append_u32(bytes, static_cast<std::uint32_t>(length));
    for (const std::uint32_t field : fields) append_u32(bytes, field);
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
    return (count + record_block - 1) / record_block;
}

// Length of the whole file without captions; cannot overflow within the limits that are checked before.
std::uint64_t length_of(std::uint64_t header_bytes, std::int64_t record_bytes, std::int64_t count) {
    return header_bytes + static_cast<std::uint64_t>(count * (record_bytes + 4) + blocks_in(count) * 4);
}

}  // namespace

RecordFile::RecordFile(const std::filesystem::path& path, const RecordFormat& format, const Meaning& meaning)
    : path_(path), file_(path) {
    file_bytes_ = file_.bytes().size();
    if (file_bytes_ < header_alignment)
        fail("{}: not a {}: only {} bytes long", path.string(), format.name, file_bytes_);
    bytes_ = reinterpret_cast<const std::uint8_t*>(file_.bytes().data());
    parse_header(format, meaning);
    check_labels();
}

void RecordFile::parse_header(const RecordFormat& format, const Meaning& meaning) {
    const std::string name = path_.string();
    if (std::memcmp(bytes_, format.magic.data(), format.magic.size()) != 0)
        fail("{}: not a {}: it does not start with \"{}\"", name, format.name, format.magic);
    const std::uint32_t found_version = read_u32(bytes_ + 8), header_bytes = read_u32(bytes_ + 12);
    if (found_version != plain_version && found_version != captioned_version)
        fail("{}: version {}, expected {} or {}", name, found_version, plain_version, captioned_version);
    if (header_bytes < header_alignment || header_bytes > maximum_header_bytes ||
        header_bytes > file_bytes_ || header_bytes % header_alignment != 0)
        fail("{}: the header is damaged: its length is given as {} bytes", name, header_bytes);
    const std::size_t names_end = header_bytes - checksum_bytes;
    if (checksum_of(0, bytes_, names_end) != read_u32(bytes_ + names_end))
        fail("{}: the header is damaged: it differs from its checksum", name);

    std::vector<std::uint32_t> fields(format.fields);
    std::memcpy(fields.data(), bytes_ + fields_begin, 4 * fields.size());
    record_bytes_ = meaning(fields);
    const std::size_t names = names_begin(format.fields);
    const std::uint32_t count = read_u32(bytes_ + names - 8);
    if (count < 1 || count > std::numeric_limits<std::int32_t>::max())
        fail("{}: {} {}s, expected 1 to {}", name, count, format.record,
             std::numeric_limits<std::int32_t>::max());
    count_ = count;
    parse_classes(names, names_end, read_u32(bytes_ + names - 4));

    const bool captioned = found_version == captioned_version;
    const std::uint64_t expected = length_of(header_bytes, record_bytes_, count_);
    if (captioned ? file_bytes_ < expected : file_bytes_ != expected)
        fail("{}: {} bytes long, expected {}{} for {} {}s of {} bytes: it was cut or extended", name,
             file_bytes_, captioned ? "more than " : "", expected, count_, format.record, record_bytes_);
    records_ = bytes_ + header_bytes;
    labels_ = records_ + count_ * record_bytes_;
    checksums_ = labels_ + count_ * 4;
    if (captioned) captions_ = CaptionTable(name, {bytes_ + expected, file_bytes_ - expected}, count_);
}

void RecordFile::parse_classes(std::size_t position, std::size_t end, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
        if (end - position < 4) fail("{}: the header ends within class name {}", path_.string(), i);
        const std::uint32_t length = read_u32(bytes_ + position);
        position += 4;
        if (end - position < length) fail("{}: the header ends within class name {}", path_.string(), i);
        classes_.emplace_back(reinterpret_cast<const char*>(bytes_ + position), length);
        position += length;
    }
}

void RecordFile::check_labels() const {
    const int classes = static_cast<int>(classes_.size());
    for (std::int64_t i = 0; i < count_; ++i)
        if (label(i) < -1 || label(i) >= classes)
            fail("{}: record {} has label {}, expected -1 to {}", path_.string(), i, label(i), classes - 1);
}

int RecordFile::label(std::int64_t i) const {
    return static_cast<std::int32_t>(read_u32(labels_ + i * 4));
}

std::uint32_t RecordFile::block_checksum(std::int64_t block) const {
    const std::int64_t first = block * record_block;
    const std::int64_t records = std::min(record_block, count_ - first);
    const std::uint32_t of_records =
        checksum_of(0, record(first), static_cast<std::size_t>(records * record_bytes_));
    return checksum_of(of_records, labels_ + first * 4, static_cast<std::size_t>(records * 4));
}

std::uint32_t RecordFile::fingerprint() const {
    const std::uint32_t header = checksum_of(0, bytes_, read_u32(bytes_ + 12));
    const std::uint32_t records =
        checksum_of(header, checksums_, static_cast<std::size_t>(blocks_in(count_)) * checksum_bytes);
    if (!has_captions()) return records;
    const std::uint32_t captions = captions_.checksum();
    return checksum_of(records, &captions, sizeof captions);
}

void RecordFile::verify() const {
    check_length();
    const std::int64_t blocks = blocks_in(count_);
    std::vector<char> damaged(static_cast<std::size_t>(blocks));
    cpu::share_each(blocks, 1, [&](std::int64_t block) {
        damaged[static_cast<std::size_t>(block)] = block_checksum(block) != read_u32(checksums_ + block * 4);
    });
    const std::int64_t bad = std::ranges::find(damaged, 1) - damaged.begin();
    if (bad < blocks)
        fail("{}: block {} (records {} to {}) is damaged: it differs from its checksum", path_.string(), bad,
             bad * record_block, std::min(count_, (bad + 1) * record_block) - 1);
    if (!captions_.holds())
        fail("{}: the captions are damaged: they differ from their checksum", path_.string());
}

RecordWriter::RecordWriter(std::filesystem::path path, const RecordFormat& format,
                           std::vector<std::uint32_t> fields, std::int64_t record_bytes,
                           std::vector<std::string> classes)
    : path_(std::move(path)),
      format_(format),
      file_(path_),
      fields_(std::move(fields)),
      record_bytes_(static_cast<std::size_t>(record_bytes)),
      classes_(std::move(classes)) {
    if (std::filesystem::is_directory(path_))
        fail("{}: is a folder, expected a file to write", path_.string());
    // The header's length depends on the class names alone, so that its place can be kept free until the
    // count is known.
    const std::string header = header_of(format_.magic, plain_version, fields_, 0, classes_);
    if (header.size() > maximum_header_bytes)
        fail("{}: the names of {} classes need {} bytes, more than {}", path_.string(), classes_.size(),
             header.size(), maximum_header_bytes);
    file_.write(header);
}

void RecordWriter::add(const void* record, int label, std::span<const std::string> captions) {
    if (label < -1 || label >= static_cast<int>(classes_.size()))
        fail("{}: record {} has label {}, expected -1 to {}", path_.string(), count(), label,
             static_cast<int>(classes_.size()) - 1);
    if (count() == std::numeric_limits<std::int32_t>::max())
        fail("{}: more than {} {}s", path_.string(), count(), format_.record);
    const auto* bytes = static_cast<const std::uint8_t*>(record);
    running_checksum_ = checksum_of(running_checksum_, bytes, record_bytes_);
    pending_.insert(pending_.end(), bytes, bytes + record_bytes_);
    labels_.push_back(label);
    captions_.add(captions);
    if (pending_.size() >= write_buffer_bytes) flush();
    if (count() % record_block == 0) close_block();
}

void RecordWriter::flush() {
    file_.write(pending_.data(), pending_.size());
    pending_.clear();
}

void RecordWriter::close_block() {
    const std::size_t first = checksums_.size() * record_block;
    checksums_.push_back(
        checksum_of(running_checksum_, labels_.data() + first, (labels_.size() - first) * 4));
    running_checksum_ = 0;
}

void RecordWriter::finish() {
    if (count() == 0) fail("{}: no {}s to write", path_.string(), format_.record);
    if (count() % record_block != 0) close_block();
    flush();
    file_.write(labels_.data(), labels_.size() * 4);
    file_.write(checksums_.data(), checksums_.size() * 4);
    const bool captioned = captions_.count() > 0;
    if (captioned) captions_.write(file_);
    const std::string header = header_of(format_.magic, captioned ? captioned_version : plain_version,
                                         fields_, static_cast<std::uint32_t>(count()), classes_);
    file_.write_at(0, header.data(), header.size());
    finished_ = true;
}

void RecordWriter::commit() {
    if (!finished_) finish();
    file_.commit();
}
