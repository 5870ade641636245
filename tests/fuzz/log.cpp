// The log.csv of a run, and the curves of valid ones.
#include "data/charts/training_curves.h"
#include "data/charts/training_log.h"
#include "tests/fuzz/entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const MemoryFile memory({bytes, size});
    parse_rubbish([&] {
        const NamedLog run{"rubbish", read_training_log(memory.path())};
        if (run.log.rows() > 0) require(!training_curves({&run, 1}).pixels.empty());
    });
    return 0;
}
