// A whole file mapped into memory for reading.
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

  private:
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};
