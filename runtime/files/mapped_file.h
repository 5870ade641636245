// A whole file mapped into memory for reading, open as long as the object lives.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

class MappedFile {
  public:
    // Throws Error naming the file if it cannot be opened or is no regular file. An empty file has no bytes.
    explicit MappedFile(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::span<const std::byte> bytes() const { return {data_, size_}; }
    // Throws Error, starting with the file's name, if its length is no longer what it was: touching a page
    // that was cut away would end the process with SIGBUS.
    void check_length() const;

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};
