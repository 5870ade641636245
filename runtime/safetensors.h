// The safetensors container: 8 bytes of header length, a JSON header (name -> dtype, shape, offsets;
// "__metadata__" with strings), then the tensors' bytes. A file from here loads in Python and the other way
// round.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct SafetensorsEntry {
    std::string dtype;  // "F32", "I64", "U8", ...
    std::vector<std::int64_t> shape;
    std::size_t begin = 0, bytes = 0;  // inside the data
};

// A file mapped into memory. The constructor checks that every tensor lies within the file and that shapes
// and sizes agree.
class SafetensorsFile {
  public:
    // Throws Error naming the file and what is wrong.
    explicit SafetensorsFile(std::filesystem::path path);
    ~SafetensorsFile();
    SafetensorsFile(const SafetensorsFile&) = delete;
    SafetensorsFile& operator=(const SafetensorsFile&) = delete;

    const std::filesystem::path& path() const { return path_; }
    const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    bool contains(std::string_view name) const { return entries_.contains(std::string(name)); }
    // Throws Error if there is no such tensor.
    const SafetensorsEntry& entry(std::string_view name) const;
    std::span<const std::byte> bytes(std::string_view name) const;
    // The elements of a tensor of this dtype. Throws Error for another one.
    std::span<const float> floats(std::string_view name) const { return typed<float>(name, "F32"); }
    std::span<const std::uint8_t> bytes_u8(std::string_view name) const {
        return typed<std::uint8_t>(name, "U8");
    }
    // Copied, since the format promises no alignment for 8-byte types.
    std::vector<std::int64_t> integers(std::string_view name) const;
    // Throws Error if there is no such metadata.
    const std::string& metadata(std::string_view key) const;

  private:
    template <class T>
    std::span<const T> typed(std::string_view name, std::string_view dtype) const;
    void parse(std::string_view header, std::size_t data_bytes);

    std::filesystem::path path_;
    const std::byte* mapped_ = nullptr;
    std::size_t mapped_bytes_ = 0, data_begin_ = 0;
    std::map<std::string, SafetensorsEntry> entries_;
    std::map<std::string, std::string> metadata_;
};

struct SafetensorsTensor {
    std::string name, dtype;
    std::vector<std::int64_t> shape;
    std::span<const std::byte> data;
};

// Writes the file whole or not at all (AtomicFile). Throws Error.
void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata);
