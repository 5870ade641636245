// Where a job runs and the raw memory it runs in. The only file that knows how a device hands out memory.
#pragma once

#include <cstddef>
#include <string_view>

enum class Device { cpu };

// "cpu" -> Device::cpu. Throws UsageError for a device this build does not have.
Device parse_device(std::string_view name);

// One zero-initialised slab of device memory, aligned to a page. Pages cost nothing until they are touched.
class Memory {
  public:
    Memory() = default;
    // Throws Error if the device has no `bytes` bytes to give.
    Memory(Device device, std::size_t bytes);
    ~Memory();
    Memory(Memory&& other) noexcept;
    Memory& operator=(Memory&& other) noexcept;

    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

  private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

// Makes this thread, and every thread it starts from now on, treat floats below 1.2e-38 as zero. Trained softmaxes are
// full of them, and the processor takes a hundred times as long for each.
void flush_denormals();

// Bytes a new slab could take now without swapping.
std::size_t available_memory(Device device);

// Largest resident size of this process so far, in bytes.
std::size_t peak_resident_memory();
