// Named tensors in a file of any supported format: the source of weights for all jobs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

class TensorFile {
  public:
    explicit TensorFile(std::filesystem::path path) : path_(std::move(path)) {}
    virtual ~TensorFile() = default;
    TensorFile(const TensorFile&) = delete;
    TensorFile& operator=(const TensorFile&) = delete;

    const std::filesystem::path& path() const { return path_; }
    // The file's metadata.
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    // Throws Error if there is no such metadata.
    const std::string& metadata(std::string_view key) const;

    virtual std::vector<std::string> names() const = 0;  // sorted
    virtual bool contains(std::string_view name) const = 0;
    // Throws Error if there is no such tensor.
    virtual const std::vector<std::int64_t>& shape(std::string_view name) const = 0;
    // Writes the tensor as fp32, row after row, to `destination`, as many floats as the shape has elements.
    // Throws Error naming the tensor if it is missing, its elements are not real numbers, or its bytes do not
    // match the file's checksum, if there is one.
    virtual void read(std::string_view name, float* destination) const = 0;

  protected:
    std::filesystem::path path_;
    std::map<std::string, std::string> metadata_;
};

// A safetensors file or a torch checkpoint, recognised by its first bytes. Throws Error naming the file.
std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path);
