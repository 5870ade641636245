// A zip archive for reading, by libzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct zip;
struct zip_file;

class ZipArchive {
  public:
    using Take = std::function<void(std::span<const std::byte>)>;

    // Throws Error naming the file if it is no zip archive.
    explicit ZipArchive(const std::filesystem::path& path);
    ~ZipArchive();
    ZipArchive(const ZipArchive&) = delete;
    ZipArchive& operator=(const ZipArchive&) = delete;

    bool contains(const std::string& name) const;
    // In the archive's order, without those that have control characters in their names.
    std::vector<std::string> names() const;
    // The first entry whose last part is `name`, alone or in a folder.
    std::optional<std::string> find_ending(std::string_view name) const;
    // The first entry whose name ends so, but for those that macOS adds.
    std::optional<std::string> find_suffix(std::string_view suffix) const;
    // Bytes of an entry when unpacked, as the archive claims; no more than its packed bytes can become, which
    // lie within the file. Throws Error if they are more, or if there is no such entry.
    std::uint64_t size(const std::string& name) const { return entry(name).bytes; }
    // Hands the entry's bytes from `begin` to before `end` to `take`, in pieces of 1 MiB (the last one may be
    // smaller). If these are all of it, its CRC-32 is checked at the end. Throws Error naming the entry.
    void read(const std::string& name, std::uint64_t begin, std::uint64_t end, const Take& take) const;

  private:
    friend class ZipReader;
    struct Entry {
        std::uint64_t index, bytes;
        bool stored;  // as it is, not packed
    };
    Entry entry(const std::string& name) const;
    template <class Matches>
    std::optional<std::string> find_entry(Matches matches) const;

    std::string source_;
    std::uint64_t file_bytes_ = 0;
    zip* archive_ = nullptr;
};

// Reads an entry from its start to its end. One thread at a time may use the readers of an archive.
class ZipReader {
  public:
    // `archive` must remain. Throws Error naming the entry, as all of this class.
    ZipReader(const ZipArchive& archive, std::string name);

    const std::string& name() const { return name_; }
    std::uint64_t size() const { return entry_.bytes; }
    std::uint64_t position() const { return position_; }
    // The next bytes, as many as `to` has. With the last one the entry's CRC-32 is checked, unless bytes before
    // were skipped by a seek.
    void read(std::span<std::byte> to);
    // Forwards, to at most size(): a seek in a stored entry; a packed one is unpacked up to there.
    void skip_to(std::uint64_t position);

  private:
    struct Close {
        void operator()(zip_file* file) const;
    };
    [[noreturn]] void fail_damaged(std::string_view reason) const;

    std::string source_, name_;
    ZipArchive::Entry entry_;
    std::unique_ptr<zip_file, Close> file_;
    std::uint64_t position_ = 0;
};
