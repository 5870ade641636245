// What the entry points for rubbish have in common. Each file of this folder named as a parser hands it the
// bytes of LLVMFuzzerTestOneInput: libFuzzer (`make fuzz`) drives them, replay.cpp (`make test`) gives them
// the files of corpus/PARSER. A parser may refuse what it is given with an Error whose message is one line;
// anything else that escapes it is a fault.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <span>

#include "runtime/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

// Runs `parse`, which may throw Error.
void parse_rubbish(const std::function<void()>& parse);

// An invariant for any input; ends the program if violated.
inline void require(bool holds) {
    if (!holds) std::abort();
}

// Bytes under a name, for parsers that read files: a file in memory (memfd_create), whose name is a link in
// /proc.
class MemoryFile {
  public:
    explicit MemoryFile(std::span<const std::uint8_t> bytes);
    ~MemoryFile();
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    const std::filesystem::path& path() const { return path_; }

  private:
    int descriptor_ = -1;
    std::filesystem::path path_;
};

// Bytes from the start of the input, as long as there are any; then zeros.
class Taken {
  public:
    explicit Taken(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

    std::uint8_t byte() {
        if (rest_.empty()) return 0;
        const std::uint8_t value = rest_.front();
        rest_ = rest_.subspan(1);
        return value;
    }
    std::uint16_t number() {
        const auto low = byte();
        return static_cast<std::uint16_t>(low | byte() << 8);
    }
    std::span<const std::uint8_t> bytes(std::size_t most) {
        const auto taken = rest_.first(std::min(most, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }
    std::span<const std::uint8_t> rest() const { return rest_; }

  private:
    std::span<const std::uint8_t> rest_;
};
