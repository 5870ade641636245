// CIFAR-10's binary files, from a folder of links to files in memory. The input: u16 length of
// batches.meta.txt (0: there is none), that text, test_batch.bin. A packed file must open.
#include "data/records/pack.h"
#include "data/records/packed.h"
#include "tests/fuzz/entry.h"
#include "tests/unit/temporary_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const TemporaryFolder folder;
    Taken taken({bytes, size});
    const std::size_t length = taken.number();
    const MemoryFile names(taken.bytes(length)), images(taken.rest());
    for (const char* each : {"batches.meta.txt", "test_batch.bin", "out.bin"})
        std::filesystem::remove(folder / each);
    if (length > 0) std::filesystem::create_symlink(names.path(), folder / "batches.meta.txt");
    std::filesystem::create_symlink(images.path(), folder / "test_batch.bin");
    parse_rubbish([&] {
        const PackReport report = pack_cifar10(folder.path(), "test", {folder / "out.bin", 0.0, {}});
        const PackedFile packed(folder / "out.bin");
        packed.verify();
        require(packed.count() == report.packed && packed.classes().size() == 10);
    });
    return 0;
}
