// Generation strategies, JSON or the YAML of the published ones. Accepted strategies must read the same when
// written.
#include "models/nat/strategy.h"

#include "tests/fuzz/entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    parse_rubbish([&] {
        const Strategy strategy =
            parse_strategy({reinterpret_cast<const char*>(bytes), size}, "rubbish.yaml");
        require(parse_strategy(to_json(strategy), "again.json") == strategy);
    });
    return 0;
}
