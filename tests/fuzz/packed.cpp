// Packed image files, from a file in memory, as they are and with their checksums mended.
#include "data/records/packed.h"

#include "data/records/loader.h"
#include "tests/fuzz/entry.h"
#include "tests/fuzz/mended_records.h"
#include "tests/fuzz/read_captions.h"

namespace {

void read_all(std::span<const std::uint8_t> bytes) {
    const MemoryFile memory(bytes);
    parse_rubbish([&] {
        const PackedFile file(memory.path());
        require(file.count() * file.record_bytes() <= static_cast<std::int64_t>(bytes.size()));
        Batch batch;
        read_batch(file, 0, file.count(), batch);
        for (const std::int32_t label : batch.labels)
            require(label >= -1 && label < static_cast<std::int64_t>(file.classes().size()));
        parse_rubbish([&] { read_batch(file, file.count(), 1, batch); });
        read_captions(file, bytes.size());
        file.verify();
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    read_all({bytes, size});
    read_all(mended_records({bytes, size}));
    return 0;
}
