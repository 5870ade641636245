// Configurations in JSON, the same text for the three kinds of models. Accepted configurations must read the
// same when written.
#include "models/fractal/config.h"
#include "models/nat/config.h"
#include "models/nat/tokenizer_config.h"
#include "tests/fuzz/entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    const auto parse_with = [&](const auto& parse) {
        parse_rubbish([&] {
            const auto config = parse(text, "rubbish.json");
            require(parse(to_json(config), "again.json") == config);
        });
    };
    parse_with(parse_fractal_config);
    parse_with(parse_nat_config);
    parse_with(parse_tokenizer_config);
    return 0;
}
