#include "runtime/files/open_tensor_file.h"

#include <system_error>

#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/pth/pth.h"
#include "runtime/files/pth/pth_container.h"
#include "runtime/files/safetensors.h"

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
