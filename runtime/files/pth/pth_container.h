// The files that torch.save writes: a pickle, and the bytes of the storages that it names. Today a zip
// archive; before torch 1.6 several pickles and the storages one after the other. (Before 0.1.10 a tar
// archive, which is refused.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runtime/files/pth/pickle.h"

// The bytes of storages by key.
class StorageSource {
  public:
    using Take = std::function<void(std::span<const std::byte>)>;

    virtual ~StorageSource() = default;
    // Bytes of a storage; throws Error if the file has none of this key.
    virtual std::uint64_t size(const std::string& key) const = 0;
    // Hands the bytes from `begin` to before `end` to `take`, in order, in pieces whose size is a multiple of
    // 16 but for the last one. Throws Error if they cannot be read, or if they are a whole storage and differ
    // from its CRC-32.
    virtual void read(const std::string& key, std::uint64_t begin, std::uint64_t end,
                      const Take& take) const = 0;
};

struct PthContainer {
    // The pickle's texts are views into this, a zip's `data.pkl` or the whole file.
    std::shared_ptr<const void> memory;
    Pickle pickle;
    std::unique_ptr<StorageSource> storages;
};

// Whether a file that starts so (read_start) is one of torch's.
bool looks_like_pth(std::string_view start);
// Throws Error naming the file and the fault.
PthContainer open_pth_container(const std::filesystem::path& path);
