// Devices, their memory and streams.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "kernels/common/stream.h"

enum class Device { cpu, cuda };

// By name, "cpu" or "cuda". A GPU becomes the current one of this process, which all later calls use. Throws
// UsageError for any other name, for a device this build does not have, and if there is no device, or none
// that this build has code for. `gpu`: index of the GPU, modulo their number.
Device select_device(std::string_view name, int gpu = 0);
// Number of GPUs of this machine.
int gpu_count();

// One zero-initialised slab of device memory, aligned to 256 bytes. On the host, pages are not backed by
// memory until they are first written. GPU memory can be accessed only by kernels and the copies below.
class Memory {
  public:
    Memory() = default;
    // Throws Error if the device has less free memory, UsageError if this build has no backend for it.
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

// A queue of kernels and copies, and the workspace of its matrix products. Empty on the CPU.
class DeviceStream {
  public:
    DeviceStream() = default;
    // Throws Error if the device has no memory for the workspace.
    explicit DeviceStream(Device device);
    ~DeviceStream();
    DeviceStream(DeviceStream&& other) noexcept
        : stream_(std::exchange(other.stream_, {})), workspace_(std::move(other.workspace_)) {}
    DeviceStream& operator=(DeviceStream&& other) noexcept {
        std::swap(stream_, other.stream_);
        std::swap(workspace_, other.workspace_);
        return *this;
    }

    Stream get() const { return stream_; }

  private:
    Stream stream_;
    Memory workspace_;
};

// The device's compute stream, one per process: the work of all tapes runs in the order in which it is
// queued. The first call throws as DeviceStream does.
Stream main_stream(Device device);

// Copy `bytes` bytes between host and device memory, in the order of `stream`. On return the host's memory
// can be reused, or holds the copied bytes.
void copy_to_device(Device device, void* destination, const void* host, std::size_t bytes,
                    Stream stream = {});
void copy_from_device(Device device, void* host, const void* source, std::size_t bytes, Stream stream = {});
// Both in the device's memory; may return before it is done.
void copy_within_device(Device device, void* destination, const void* source, std::size_t bytes,
                        Stream stream = {});
// Sets `bytes` bytes of the device's memory to `byte`, in the order of `stream`.
void fill_on_device(Device device, void* destination, int byte, std::size_t bytes, Stream stream = {});

// Waits for everything queued on the device.
void synchronize(Device device);

// Makes this thread, and every thread it starts from now on, treat floats below 1.2e-38 as zero. Trained
// softmaxes are full of them, and the processor takes a hundred times as long for each.
void flush_denormals();

// Bytes a new slab could take now without swapping.
std::size_t available_memory(Device device);

// Largest resident size of this process so far, in bytes.
std::size_t peak_resident_memory();
