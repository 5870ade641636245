#include "runtime/files/tensor_file.h"

#include <system_error>

#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/pth/pth.h"
#include "runtime/files/pth/pth_container.h"
#include "runtime/files/safetensors.h"

const std::string& TensorFile::metadata(std::string_view key) const {
    const auto found = metadata_.find(std::string(key));
    if (found == metadata_.end()) fail("{}: its metadata has no {}", path_.string(), key);
    return found->second;
}

std::string TensorFile::origin(std::string_view prefix) const {
    const auto found = origins_.find(prefix);
    if (found == origins_.end()) return "";
    const auto& [entry, removed] = found->second;
    if (entry.empty()) return removed.empty() ? "" : "its tensors, names without " + removed;
    return "its entry " + entry + (removed.empty() ? "" : ", names without " + removed);
}

void TensorFile::fail_missing(std::string_view name) const {
    const std::string path = path_.string(), ending = "." + std::string(name);
    for (const std::string& other : names())
        if (other.ends_with(ending)) fail("{}: has no tensor {}, but {}", path, name, other);
    fail("{}: has no tensor {}", path, name);
}

std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path) {
    std::error_code unreachable;
    if (std::filesystem::is_directory(path, unreachable))
        fail("{}: a folder, expected a checkpoint{}", path.string(),
             std::filesystem::exists(path / "last.safetensors", unreachable)
                 ? ", such as last.safetensors in it"
                 : "");
    if (looks_like_pth(read_start(path))) return std::make_unique<PthFile>(path);
    return std::make_unique<SafetensorsFile>(path);
}
