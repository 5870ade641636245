// A zip archive for reading, by libzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct zip;

class ZipArchive {
  public:
    using Take = std::function<void(std::span<const std::byte>)>;

    // Throws Error naming the file if it is no zip archive.
    explicit ZipArchive(const std::filesystem::path& path);
    ~ZipArchive();
    ZipArchive(const ZipArchive&) = delete;
    ZipArchive& operator=(const ZipArchive&) = delete;

    bool contains(const std::string& name) const;
    // The first entry whose last part is `name`, alone or in a folder.
    std::optional<std::string> find_ending(std::string_view name) const;
    // The first entry whose name ends so, but for those that macOS adds.
    std::optional<std::string> find_suffix(std::string_view suffix) const;
    // Bytes of an entry when unpacked, as the archive claims. Throws Error if there is no such entry.
    std::uint64_t size(const std::string& name) const { return entry(name).bytes; }
    // Hands the entry's bytes from `begin` to before `end` to `take`, in pieces of 1 MiB (the last one may be
    // smaller). If these are all of it, its CRC-32 is checked at the end. Throws Error naming the entry.
    void read(const std::string& name, std::uint64_t begin, std::uint64_t end, const Take& take) const;

  private:
    struct Entry {
        std::uint64_t index, bytes;
        bool stored;  // as it is, not packed
    };
    Entry entry(const std::string& name) const;
    template <class Matches>
    std::optional<std::string> find_entry(Matches matches) const;

    std::string source_;
    zip* archive_ = nullptr;
};
