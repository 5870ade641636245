#include "runtime/files/zip_archive.h"

#include <zip.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "runtime/base/error.h"

namespace {

constexpr std::size_t piece_bytes = 1 << 20;

std::string reason(int code) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    return text;
}

bool has_control_characters(std::string_view name) {
    return std::ranges::any_of(name, [](unsigned char c) { return c < ' '; });
}

}  // namespace

ZipArchive::ZipArchive(const std::filesystem::path& path) : source_(path.string()) {
    int code = 0;
    std::error_code unknown;
    file_bytes_ = std::filesystem::file_size(path, unknown);
    archive_ = zip_open(path.c_str(), ZIP_RDONLY, &code);
    if (archive_ == nullptr) fail("{}: not a zip archive, or cut off: {}", source_, reason(code));
}

ZipArchive::~ZipArchive() {
    zip_discard(archive_);
}

bool ZipArchive::contains(const std::string& name) const {
    return zip_name_locate(archive_, name.c_str(), 0) >= 0;
}

template <class Matches>
std::optional<std::string> ZipArchive::find_entry(Matches matches) const {
    const zip_int64_t count = zip_get_num_entries(archive_, 0);
    for (zip_int64_t i = 0; i < count; ++i) {
        const char* text = zip_get_name(archive_, static_cast<zip_uint64_t>(i), 0);
        if (text == nullptr) continue;
        const std::string_view entry(text);
        if (!has_control_characters(entry) && matches(entry)) return std::string(entry);
    }
    return std::nullopt;
}

std::vector<std::string> ZipArchive::names() const {
    std::vector<std::string> names;
    find_entry([&](std::string_view entry) {
        names.emplace_back(entry);
        return false;
    });
    return names;
}

std::optional<std::string> ZipArchive::find_ending(std::string_view name) const {
    return find_entry([&](std::string_view entry) {
        return entry == name || (entry.ends_with(name) && entry[entry.size() - name.size() - 1] == '/');
    });
}

std::optional<std::string> ZipArchive::find_suffix(std::string_view suffix) const {
    return find_entry(
        [&](std::string_view entry) { return entry.ends_with(suffix) && !entry.starts_with("__MACOSX/"); });
}

ZipArchive::Entry ZipArchive::entry(const std::string& name) const {
    const zip_int64_t index = zip_name_locate(archive_, name.c_str(), 0);
    if (index < 0) fail("{}: has no entry {}", source_, name);
    zip_stat_t status;
    zip_stat_init(&status);
    constexpr zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(archive_, static_cast<zip_uint64_t>(index), 0, &status) != 0 ||
        (status.valid & needed) != needed)
        fail("{}: entry {} has no size", source_, name);
    constexpr std::uint64_t deflate_most = 1032;  // bytes from one
    const bool stored = status.comp_method == ZIP_CM_STORE;
    if (!stored && status.comp_method != ZIP_CM_DEFLATE)
        fail("{}: entry {} is packed by method {}, expected 0 (stored) or 8 (deflate)", source_, name,
             status.comp_method);
    if (status.comp_size > file_bytes_ || status.size / (stored ? 1 : deflate_most) > status.comp_size)
        fail("{}: entry {} is damaged: {} bytes from {}, in a file of {}", source_, name, status.size,
             status.comp_size, file_bytes_);
    return {static_cast<std::uint64_t>(index), status.size, stored};
}

void ZipArchive::read(const std::string& name, std::uint64_t begin, std::uint64_t end,
                      const Take& take) const {
    ZipReader reader(*this, name);
    reader.skip_to(begin);
    std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, end - begin)));
    while (reader.position() < end) {
        const auto next = std::span(piece).first(
            static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), end - reader.position())));
        reader.read(next);
        take(next);
    }
}

void ZipReader::Close::operator()(zip_file* file) const {
    zip_fclose(file);
}

ZipReader::ZipReader(const ZipArchive& archive, std::string name)
    : source_(archive.source_),
      name_(std::move(name)),
      entry_(archive.entry(name_)),
      file_(zip_fopen_index(archive.archive_, entry_.index, 0)) {
    if (!file_) fail("{}: entry {} cannot be read: {}", source_, name_, zip_strerror(archive.archive_));
}

void ZipReader::fail_damaged(std::string_view reason) const {
    fail("{}: entry {} is damaged: {}", source_, name_, reason);
}

void ZipReader::read(std::span<std::byte> to) {
    while (!to.empty()) {
        const zip_int64_t got = zip_fread(file_.get(), to.data(), to.size());
        if (got < 0) fail_damaged(zip_file_strerror(file_.get()));
        if (got == 0)
            fail_damaged(fmt::format("it ends after {} bytes, expected {}", position_, entry_.bytes));
        position_ += static_cast<std::uint64_t>(got);
        to = to.subspan(static_cast<std::size_t>(got));
    }
    if (position_ != entry_.bytes) return;
    std::byte more{};  // libzip checks the CRC-32 at the end of the entry
    const zip_int64_t beyond = zip_fread(file_.get(), &more, 1);
    if (beyond < 0) fail_damaged(zip_file_strerror(file_.get()));
    if (beyond > 0) fail_damaged(fmt::format("it goes on after {} bytes", entry_.bytes));
}

void ZipReader::skip_to(std::uint64_t position) {
    if (entry_.stored && position - position_ > piece_bytes) {
        if (zip_fseek(file_.get(), static_cast<zip_int64_t>(position), SEEK_SET) != 0)
            fail("{}: entry {} cannot be read: {}", source_, name_, zip_file_strerror(file_.get()));
        position_ = position;
    }
    std::vector<std::byte> skipped(
        static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, position - position_)));
    while (position_ < position)
        read(std::span(skipped).first(
            static_cast<std::size_t>(std::min<std::uint64_t>(skipped.size(), position - position_))));
}
