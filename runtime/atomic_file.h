// A file that appears whole or not at all: written beside its destination under a temporary name, synced,
// renamed, and the folder synced. What stood there before stays until the rename.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

class AtomicFile {
  public:
    // Opens `destination` + ".partial" for writing; throws Error if that fails.
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

// Makes a folder, its parents included, unless it is there. Throws Error.
void make_folder(const std::filesystem::path& path);
