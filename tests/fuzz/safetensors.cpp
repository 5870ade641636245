// Safetensors files, from a file in memory: the container, its header in JSON, every tensor read in every
// way.
#include "runtime/files/safetensors.h"

#include "tests/fuzz/entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const MemoryFile file({bytes, size});
    parse_rubbish([&] {
        const SafetensorsFile tensors(file.path());
        for (const auto& each : tensors.entries()) {
            const auto& name = each.first;
            require(tensors.bytes(name).size() == each.second.bytes && each.second.bytes <= size);
            // Every element has a byte at least.
            std::vector<float> values(each.second.bytes);
            parse_rubbish([&] { tensors.read(name, values.data()); });
            parse_rubbish([&] { tensors.floats(name); });
            parse_rubbish([&] { tensors.bytes_u8(name); });
            parse_rubbish([&] { tensors.integers(name); });
        }
    });
    return 0;
}
