// Files written atomically.
//
// A file appears whole or not at all: it is written beside its destination under a temporary name, synced,
// renamed, and the folder synced. A previous file remains until the rename.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

// Behind the name of a file that is being written. One that a killed process left behind is written over by
// the next.
inline constexpr std::string_view partial_suffix = ".partial";

// Writes all of `bytes` to an open file: at its position, or at `offset` from its start. False, with errno set,
// if not all of it could be written.
bool write_all(int descriptor, std::string_view bytes, std::optional<std::uint64_t> offset = std::nullopt);

class AtomicFile {
  public:
    // Opens `destination` + ".partial" for writing; throws Error if that fails, if another process is
    // writing it, or if there is a device, pipe or folder of this name, which the rename would replace.
    explicit AtomicFile(std::filesystem::path destination);
    // Removes the partial file unless commit() was reached.
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    // Appends `size` bytes; throws Error (naming the file and the reason, a full disk for instance).
    void write(const void* bytes, std::size_t size);
    void write(std::string_view text) { write(text.data(), text.size()); }
    // Overwrites `size` bytes at `offset` from the start (for headers known last); the end stays the end.
    void write_at(std::uint64_t offset, const void* bytes, std::size_t size);
    // Syncs, renames over the destination and syncs the folder; throws Error.
    void commit();

  private:
    std::filesystem::path destination_, partial_;
    int descriptor_ = -1;
};

// Check at a job's start that its output can be written at its end. Throws Error as AtomicFile does.
void require_writable(const std::filesystem::path& destination);

// Points the symbolic link `link` at `target`, a name beside it, whatever was there before; as durable as an
// AtomicFile. Where the file system has no symbolic links (FAT, exFAT, some network shares), `link` becomes a
// copy of that file. Throws Error.
void replace_link(const std::filesystem::path& link, const std::filesystem::path& target);

// Appends to a file that is there, all of `text` or nothing. Throws Error.
void append_to_file(const std::filesystem::path& path, std::string_view text);
// Waits until a file's contents are on the disk. Throws Error.
void sync_file(const std::filesystem::path& path);

// Makes a folder, its parents included, unless it is there. Throws Error.
void make_folder(const std::filesystem::path& path);
