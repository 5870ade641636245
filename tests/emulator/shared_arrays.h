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
    // The offset of an address of this block's memory, which is the same in every block of a cluster; and the
    // address at an offset, null unless `bytes` bytes of one array lie there.
    std::size_t offset(const void* address) const;
    std::byte* at(std::size_t offset, std::size_t bytes) const;
    // Keeps the arrays' contents of now, and where it keeps those of an address.
    void publish();
    const std::byte* published(const std::byte* address) const;
    // Which guard was overwritten, empty if none was.
    std::string overwritten() const;

  private:
    struct Array {
        std::size_t offset, bytes, element_bytes;
    };

    std::byte* memory_ = nullptr;
    std::size_t limit_ = 0, taken_ = 0, used_ = 0;
    std::vector<Array> arrays_;
    std::vector<std::byte> published_;
};

}  // namespace emulator
