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

#include "runtime/files/mapped_file.h"
#include "runtime/files/tensor_file.h"

// Metadata that holds a tensor's CRC-32 as 8 hexadecimal digits: this + the tensor's name.
inline constexpr std::string_view checksum_prefix = "crc32/";
std::uint32_t checksum(std::span<const std::byte> data);

struct SafetensorsEntry {
    std::string dtype;  // "F32", "I64", "U8", ...
    std::vector<std::int64_t> shape;
    std::size_t begin = 0, bytes = 0;  // inside the data
    std::string stored_name;           // in the header
};

// A file mapped into memory. The constructor checks that every tensor lies within the file and that shapes
// and sizes agree.
class SafetensorsFile : public TensorFile {
  public:
    // Throws Error naming the file and the fault.
    explicit SafetensorsFile(std::filesystem::path path);

    const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
    std::vector<std::string> names() const override;
    bool contains(std::string_view name) const override { return entries_.contains(std::string(name)); }
    const std::vector<std::int64_t>& shape(std::string_view name) const override { return entry(name).shape; }
    // Of floating-point tensors, F32 or converted. Throws Error also if the bytes differ from the CRC-32 that
    // the metadata may hold.
    void read(std::string_view name, float* destination) const override;
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

  private:
    template <class T>
    std::span<const T> typed(std::string_view name, std::string_view dtype) const;
    void parse(std::string_view header, std::size_t data_bytes);
    void unwrap();

    MappedFile file_;
    std::size_t data_begin_ = 0;
    std::map<std::string, SafetensorsEntry> entries_;
};

struct SafetensorsTensor {
    std::string name, dtype;
    std::vector<std::int64_t> shape;
    std::span<const std::byte> data;
};

// Writes the file whole or not at all (AtomicFile). Throws Error.
void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata);
