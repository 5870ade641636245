// The shared memory of a block on the emulated device.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace emulator {

// Arrays in the order in which threads ask for them. Each is 16-byte aligned, holds 0xFF (not a number) at
// first and lies between guards, which end the kernel with an error if something was written there; the
// address sanitizer reports the access itself.
class SharedArrays {
  public:
    SharedArrays();
    ~SharedArrays();
    SharedArrays(const SharedArrays&) = delete;
    SharedArrays& operator=(const SharedArrays&) = delete;

    // For a new block, which may have `limit` bytes.
    void clear(std::size_t limit);
    // Array number `index`. Null and a message in `problem` if others asked for another array at this place,
    // or if the limit is too low.
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
