// The shared memory of a block on the emulated device.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace emulator {

// Shared arrays in the order of the threads' requests. Each is 16-byte aligned, initialised to 0xFF (NaN) and
// lies between guards; a write to a guard fails the kernel, and the address sanitizer reports the access
// itself.
class SharedArrays {
  public:
    SharedArrays();
    ~SharedArrays();
    SharedArrays(const SharedArrays&) = delete;
    SharedArrays& operator=(const SharedArrays&) = delete;

    // For a new block, which may have `limit` bytes.
    void clear(std::size_t limit);
    // Array number `index`. Null and a message in `problem` if other threads requested a different array at
    // this index, or if the limit is exceeded.
    void* take(int index, std::size_t bytes, std::size_t element_bytes, std::string& problem);
    // Which guard was overwritten, empty if none was.
    std::string overwritten() const;

  private:
    struct Array {
        std::size_t offset, bytes, element_bytes;
    };

    std::byte* memory_ = nullptr;
    std::size_t limit_ = 0, taken_ = 0, used_ = 0;
    std::vector<Array> arrays_;
};

}  // namespace emulator
