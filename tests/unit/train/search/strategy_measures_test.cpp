#include "train/search/strategy_measures.h"

#include <doctest/doctest.h>

#include <array>
#include <fstream>

#include "models/nat/strategy_heuristics.h"
#include "runtime/base/error.h"
#include "runtime/files/text_file.h"
#include "tests/unit/temporary_folder.h"
#include "train/search/baselines.h"

TEST_CASE("strategy measures: the standard error of a mean is that of the sample") {
    const MeanError one = mean_error(std::array{3.0}), three = mean_error(std::array{1.0, 2.0, 6.0});
    CHECK(one.mean == 3);
    CHECK(one.error == 0);
    CHECK(three.mean == 3);
    CHECK(three.error == doctest::Approx(std::sqrt(7.0 / 3)));
    CHECK(std::isnan(mean_error(std::span<const double>()).mean));
    std::array<Figures, 2> figures;
    figures[0].frechet = 2;
    figures[1].frechet = 4;
    CHECK(mean_error(figures, &Figures::frechet).mean == 3);
    CHECK(std::isnan(mean_error(figures, &Figures::recall).mean));
    CHECK(mean_error(figures, {.frechet = 0.5}).mean == 1.5);  // what has no weight need not be measured
}

TEST_CASE("strategy measures: a file that is none is refused, a line cut off by a kill is not") {
    const TemporaryFolder folder;
    const Comm comm("test");
    const std::filesystem::path path = folder.path() / "measures.jsonl";
    const auto write = [&](const std::string& text) { std::ofstream(path) << text; };
    const std::string line = R"({"settings":1,"model":2,"strategy":3,"seed":4,"frechet":0.5})"
                             "\n";
    write(line + line.substr(0, 20));
    const StrategyMeasures kept(path, 1, comm);
    CHECK(read_text_file(path) == line);
    for (const char* broken :
         {"fractal\n", "[1]\n", "{\"settings\":1}\n", "{\"settings\":\"x\",\"model\":2}\n"}) {
        write(line + broken);
        CHECK_THROWS_WITH(StrategyMeasures(path, 1, comm), doctest::Contains("line 2"));
    }
}

TEST_CASE("baselines: every setting of every name, and none that its strategy does not have") {
    const BaselineGrid grid{{"cosine", "muse", "halton"}, {0, 2}, {1, 4.5, 9}};
    const std::vector<Baseline> all = baselines(grid, 4, true);
    CHECK(all.size() == 2 * 3 + 2 * 3 + 2);
    CHECK(all.front().strategy == named_strategy("cosine", 4, 0, 1));
    CHECK(all.back().strategy == named_strategy("halton", 4, 2));
    CHECK(all.back().setting == "s 2");
    CHECK(baselines(grid, 4, false).size() == 3 + 3 + 1);
    CHECK_THROWS_AS(baselines({{"cosin"}, {0}, {1}}, 4, true), UsageError);
    CHECK_THROWS_AS(baselines({{"cosine"}, {0}, {-1}}, 4, true), UsageError);
}
