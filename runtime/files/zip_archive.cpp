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

struct CloseEntry {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using OpenEntry = std::unique_ptr<zip_file_t, CloseEntry>;

}  // namespace

ZipArchive::ZipArchive(const std::filesystem::path& path) : source_(path.string()) {
    int code = 0;
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
        if (std::ranges::any_of(entry, [](unsigned char c) { return c < ' '; })) continue;
        if (matches(entry)) return std::string(entry);
    }
    return std::nullopt;
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
    constexpr zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(archive_, static_cast<zip_uint64_t>(index), 0, &status) != 0 ||
        (status.valid & needed) != needed)
        fail("{}: entry {} has no size", source_, name);
    return {static_cast<std::uint64_t>(index), status.size, status.comp_method == ZIP_CM_STORE};
}

void ZipArchive::read(const std::string& name, std::uint64_t begin, std::uint64_t end,
                      const Take& take) const {
    const Entry found = entry(name);
    const OpenEntry file(zip_fopen_index(archive_, found.index, 0));
    if (!file) fail("{}: entry {} cannot be read: {}", source_, name, zip_strerror(archive_));
    std::uint64_t position = 0;
    if (begin > 0 && found.stored) {
        if (zip_fseek(file.get(), static_cast<zip_int64_t>(begin), SEEK_SET) != 0)
            fail("{}: entry {} cannot be read: {}", source_, name, zip_file_strerror(file.get()));
        position = begin;
    }
    std::vector<std::byte> piece(
        static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, end - position)));
    const auto fill = [&](std::uint64_t limit) {
        const auto wanted = std::min<std::uint64_t>(piece.size(), limit - position);
        std::uint64_t filled = 0;
        while (filled < wanted) {
            const zip_int64_t got = zip_fread(file.get(), piece.data() + filled, wanted - filled);
            if (got < 0) fail("{}: entry {} is damaged: {}", source_, name, zip_file_strerror(file.get()));
            if (got == 0)
                fail("{}: entry {} is damaged: it ends after {} bytes, expected {}", source_, name,
                     position + filled, found.bytes);
            filled += static_cast<std::uint64_t>(got);
        }
        position += filled;
        return std::span<const std::byte>(piece).first(static_cast<std::size_t>(filled));
    };
    // A compressed entry has no random access: the bytes before `begin` are decompressed and discarded.
    while (position < begin) fill(begin);
    while (position < end) take(fill(end));
    std::byte more{};  // libzip checks the CRC-32 at the end of the entry
    if (begin == 0 && end == found.bytes && zip_fread(file.get(), &more, 1) != 0)
        fail("{}: entry {} is damaged: {}", source_, name, zip_file_strerror(file.get()));
}
