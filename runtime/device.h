// Where a job runs and the raw memory it runs in.
#pragma once

#include <cstddef>
#include <string_view>

enum class Device { cpu, cuda };

#ifdef FRACTAL_CUDA
inline constexpr bool cuda_backend_built = true;
#else
inline constexpr bool cuda_backend_built = false;
#endif

// "cpu" or "cuda". Throws UsageError for any other name, for a device this build does not have, and if there
// is no device, or none that this build has code for.
Device parse_device(std::string_view name);

// One zero-initialised slab of device memory, aligned to 256 bytes. Pages of the host cost nothing until they
// are touched. The GPU's memory is not the host's: only kernels and the copies below may touch it.
class Memory {
  public:
    Memory() = default;
    // Throws Error if the device has no `bytes` bytes to give, UsageError if this build does not have it.
    Memory(Device device, std::size_t bytes);
    ~Memory();
    Memory(Memory&& other) noexcept;
    Memory& operator=(Memory&& other) noexcept;

    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

  private:
    Device device_ = Device::cpu;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

// Copies `bytes` bytes between the host's memory and the device's. When they return, the copy is complete,
// and so is all work queued on the device before it.
void copy_to_device(Device device, void* destination, const void* host, std::size_t bytes);
void copy_from_device(Device device, void* host, const void* source, std::size_t bytes);
// Sets `bytes` bytes of the device's memory to `byte`.
void fill_on_device(Device device, void* destination, int byte, std::size_t bytes);

// Makes this thread, and every thread it starts from now on, treat floats below 1.2e-38 as zero. Trained
// softmaxes are full of them, and the processor takes a hundred times as long for each.
void flush_denormals();

// Bytes a new slab could take now without swapping.
std::size_t available_memory(Device device);

// Largest resident size of this process so far, in bytes.
std::size_t peak_resident_memory();
