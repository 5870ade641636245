// The one way to open a checkpoint of any supported format.
#pragma once

#include <filesystem>
#include <memory>

#include "runtime/files/tensor_file.h"

// A safetensors file or a torch checkpoint, recognised by its first bytes. Throws Error naming the file.
std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path);
