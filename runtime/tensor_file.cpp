#include "runtime/tensor_file.h"

#include "runtime/error.h"
#include "runtime/pth.h"
#include "runtime/pth_container.h"
#include "runtime/safetensors.h"

const std::string& TensorFile::metadata(std::string_view key) const {
    const auto found = metadata_.find(std::string(key));
    if (found == metadata_.end()) fail("{}: its metadata has no {}", path_.string(), key);
    return found->second;
}

std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path) {
    if (looks_like_pth(path)) return std::make_unique<PthFile>(path);
    return std::make_unique<SafetensorsFile>(path);
}
