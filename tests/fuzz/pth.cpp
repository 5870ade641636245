// Torch checkpoints, from a file in memory: zip archives and the older form, their pickles, every tensor
// read.
#include "runtime/files/pth/pth.h"

#include <algorithm>

#include "tests/fuzz/entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const MemoryFile file({bytes, size});
    parse_rubbish([&] { Pickle({reinterpret_cast<const char*>(bytes), size}, "rubbish"); });
    parse_rubbish([&] {
        const PthFile tensors(file.path());
        for (const std::string& name : tensors.names()) {
            // As in a model, which compares the shape before it reads the numbers: a few bytes may be
            // expanded to any number of them.
            constexpr std::int64_t most = 1 << 16;
            const std::int64_t count = tensors.entry(name).count();
            require(count >= 0);
            if (count > most) continue;
            std::vector<float> values(static_cast<std::size_t>(count));
            parse_rubbish([&] { tensors.read(name, values.data()); });
        }
    });
    return 0;
}
