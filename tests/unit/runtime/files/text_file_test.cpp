#include "runtime/files/text_file.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "data/charts/training_log.h"
#include "models/fractal/config.h"
#include "models/nat/config.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/tokenizer_config.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

using namespace std::string_literals;

TEST_CASE("text files: a byte order mark is skipped, other encodings are refused by name") {
    const TemporaryFolder folder;
    const auto path = folder / "a.txt";
    const auto content = [&](const std::string& bytes) {
        std::ofstream(path, std::ios::binary) << bytes;
        return read_text_file(path);
    };
    CHECK(content("\xef\xbb\xbfstep,loss\n") == "step,loss\n");
    CHECK(content("\xef\xbb\xbf") == "");
    CHECK(content("\xef\xbb") == "\xef\xbb");
    CHECK(content("a\xef\xbb\xbf") == "a\xef\xbb\xbf");
    CHECK_THROWS_WITH_AS(content("\xff\xfe{\0}\0"s),
                         (path.string() + ": UTF-16 text, expected UTF-8").c_str(), UsageError);
    CHECK_THROWS_WITH_AS(content("\xfe\xff\0{"s), doctest::Contains("UTF-16"), UsageError);
    CHECK_THROWS_WITH_AS(content("\xff\xfe\0\0{\0\0\0"s), doctest::Contains("UTF-32"), UsageError);
}

TEST_CASE("text files: configurations, strategies and logs may start with a byte order mark") {
    const TemporaryFolder folder;
    const auto path = folder / "a.txt";
    const auto marked = [&](const std::string& text) {
        std::ofstream(path, std::ios::binary) << "\xef\xbb\xbf" << text;
        return path;
    };
    const FractalConfig fractal = fractal_preset("fractalar_16").config;
    CHECK(read_fractal_config(marked(to_json(fractal))) == fractal);
    const NatConfig nat = nat_presets().front().config;
    CHECK(read_nat_config(marked(to_json(nat))) == nat);
    const TokenizerConfig tokenizer = tokenizer_presets().front().config;
    CHECK(read_tokenizer_config(marked(to_json(tokenizer))) == tokenizer);
    const Strategy strategy = named_strategy("cosine", 2, 1);
    CHECK(read_strategy(marked(to_json(strategy))) == strategy);
    CHECK(read_strategy(marked("manual_ratios: [0.5]\nmanual_temp: [1]\nmanual_samp_temp: [1, 1]\n"
                               "manual_cfg: [0, 1]\n"))
              .ratios == std::vector<double>{0.5});
    const TrainingLog log = read_training_log(marked("step,loss\n1,2.5\n"));
    CHECK(log.column("step") == std::vector<double>{1});
    CHECK(log.column("loss") == std::vector<double>{2.5});
}
