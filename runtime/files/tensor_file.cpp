#include "runtime/files/tensor_file.h"

#include "runtime/base/error.h"
#include "runtime/files/pth/pth.h"
#include "runtime/files/pth/pth_container.h"
#include "runtime/files/safetensors.h"

const std::string& TensorFile::metadata(std::string_view key) const {
    const auto found = metadata_.find(std::string(key));
    if (found == metadata_.end()) fail("{}: its metadata has no {}", path_.string(), key);
    return found->second;
}

std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path) {
    if (looks_like_pth(path)) return std::make_unique<PthFile>(path);
    return std::make_unique<SafetensorsFile>(path);
}
