#include "models/nat/search/search_history.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "models/nat/search/search_methods.h"
#include "runtime/base/error.h"
#include "tests/unit/models/nat/search/search_run.h"
#include "tests/unit/temporary_folder.h"

namespace {

std::string contents(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

void overwrite(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

double objective_of(const Point& x) {
    double sum = 1.0 / 3;
    for (const double value : x) sum += (value - 0.4) * (value - 0.4);
    return sum;
}

Evaluation evaluation_of(const SearchMethod& method, const SearchPoint& point) {
    return {.method = std::string(method.name()),
            .update = method.update(),
            .phase = point.phase,
            .x = point.x,
            .objective = objective_of(point.x),
            .standard_error = point.phase.starts_with("stp") ? std::optional(0.1) : std::nullopt,
            .pictures = 50'000 * (method.evaluations() + 1),
            .learning_rates = method.learning_rates()};
}

// One update.
void advance(SearchMethod& method, SearchHistory& history) {
    std::vector<double> objectives;
    for (const SearchPoint& point : method.ask()) {
        history.append(evaluation_of(method, point));
        objectives.push_back(objective_of(point.x));
    }
    method.tell(objectives);
}

std::unique_ptr<SearchMethod> make(const char* name, const SearchSpace& space) {
    return make_search_method(name, space, autonat_start(space.steps()), {});
}

}  // namespace

TEST_CASE("search history: rows read back to the same bits, for every method and one step") {
    const TemporaryFolder folder;
    for (const std::int64_t steps : {1, 4})
        for (const char* name : {"finite_differences", "spsa", "cma_es"}) {
            const SearchSpace space(steps);
            const auto method = make(name, space);
            SearchHistory history(folder / "search.csv", space);
            std::vector<Evaluation> written;
            for (int update = 0; update < 2; ++update) {
                for (const SearchPoint& point : method->ask())
                    written.push_back(evaluation_of(*method, point));
                advance(*method, history);
            }
            const auto read = parse_search_history(contents(folder / "search.csv"), "search.csv");
            REQUIRE(read.size() == written.size());
            for (std::size_t n = 0; n < read.size(); ++n) {
                CHECK(read[n].method == name);
                CHECK(read[n].update == written[n].update);
                CHECK(read[n].phase == written[n].phase);
                CHECK(read[n].x == written[n].x);
                CHECK(read[n].objective == written[n].objective);
                CHECK(read[n].standard_error == written[n].standard_error);
                CHECK(read[n].pictures == written[n].pictures);
                REQUIRE(read[n].learning_rates.has_value() == written[n].learning_rates.has_value());
                if (read[n].learning_rates)
                    CHECK(read[n].learning_rates->others == written[n].learning_rates->others);
            }
        }
}

TEST_CASE("search history: a killed search continues to the same file, wherever it was cut") {
    const TemporaryFolder folder;
    const auto path = folder / "search.csv";
    const SearchSpace space(3);
    const auto method = make("finite_differences", space);
    SearchHistory history(path, space);
    for (int update = 0; update < 2; ++update) advance(*method, history);
    const HistoryMark mark = history.mark();
    const std::string saved = contents(path), state = method->state();
    CHECK(mark.bytes == static_cast<std::int64_t>(saved.size()));
    for (int update = 0; update < 2; ++update) advance(*method, history);
    const std::string whole = contents(path);
    for (std::size_t bytes = saved.size(); bytes <= whole.size(); bytes += 131) {
        overwrite(path, whole.substr(0, bytes));
        SearchHistory continued(path, space, mark);
        CHECK(contents(path) == saved);
        CHECK(continued.mark() == mark);
        const auto restored = make("finite_differences", space);
        restored->restore(state, "state");
        for (int update = 0; update < 2; ++update) advance(*restored, continued);
        CHECK(contents(path) == whole);
        CHECK(continued.mark() == history.mark());
        CHECK(continued.best()->phase == history.best()->phase);
        CHECK(continued.best_iterate()->phase == history.best_iterate()->phase);
    }
}

TEST_CASE("search history: an edited, shortened, missing or other file is refused, and left as it is") {
    const TemporaryFolder folder;
    const auto path = folder / "search.csv";
    const SearchSpace space(3);
    const auto method = make("spsa", space);
    SearchHistory history(path, space);
    advance(*method, history);
    const HistoryMark mark = history.mark();
    const std::string saved = contents(path);
    const auto refuse = [&](const std::string& text) {
        overwrite(path, text);
        CHECK_THROWS_AS(SearchHistory(path, space, mark), Error);
        CHECK(contents(path) == text);
    };
    refuse(saved.substr(0, saved.size() - 1));
    refuse("");
    refuse("\xEF\xBB\xBF" + saved);
    for (std::size_t n = 0; n < saved.size(); n += 61) {
        std::string edited = saved;
        edited[n] ^= 1;
        refuse(edited);
    }
    overwrite(path, saved);
    HistoryMark other = mark;
    ++other.rows;
    CHECK_THROWS_AS(SearchHistory(path, space, other), Error);
    other.bytes = -1;
    CHECK_THROWS_AS(SearchHistory(path, space, other), Error);
    CHECK_NOTHROW(SearchHistory(path, space, mark));
    std::filesystem::remove(path);
    CHECK_THROWS_AS(SearchHistory(path, space, mark), Error);
    CHECK_THROWS_AS(SearchHistory(folder.path(), space, mark), Error);
}

TEST_CASE("search history: the best over iterates after an update, and over all points") {
    const TemporaryFolder folder;
    const SearchSpace space(1);
    SearchHistory history(folder / "search.csv", space);
    CHECK_FALSE(history.best().has_value());
    const auto append = [&](std::int64_t update, const char* phase, double objective) {
        history.append({.method = "spsa",
                        .update = update,
                        .phase = phase,
                        .x = {1, 0.5},
                        .objective = objective,
                        .standard_error = std::nullopt,
                        .pictures = 0,
                        .learning_rates = std::nullopt});
    };
    append(0, "stp_0", 3);
    CHECK_FALSE(history.best_iterate().has_value());
    append(1, "stp_1", 5);
    append(1, "spsa_0_plus_stp_1", 1);
    append(2, "stp_2", 4);
    append(3, "stp_3", 4);
    CHECK(history.best_iterate()->phase == "stp_2");
    CHECK(history.best()->phase == "spsa_0_plus_stp_1");
    const SearchHistory continued(folder / "search.csv", space, history.mark());
    CHECK(continued.best_iterate()->phase == "stp_2");
    CHECK(continued.best()->phase == "spsa_0_plus_stp_1");
}

TEST_CASE("search history: text that is no history is refused, an unfinished line left out") {
    const TemporaryFolder folder;
    const SearchSpace space(2);
    SearchHistory history(folder / "search.csv", space);
    advance(*make("finite_differences", space), history);
    const std::string text = contents(folder / "search.csv");
    const std::size_t rows = parse_search_history(text, "file").size();
    CHECK(rows == 7);
    CHECK(parse_search_history(text.substr(0, text.size() - 1), "file").size() == rows - 1);
    CHECK(parse_search_history(text + "cma_es,3", "file").size() == rows);
    for (const char* line : {"", "a", ",,,,,,,,,,,", "spsa,0,stp_0,0.5,1,1 1,1 1,nan,,0,,",
                             "spsa,0,stp_0,0.5,1,1 1,1 1,inf,,0,,", "spsa,0,stp_0,0.5,1,1 1,1,2,,0,,",
                             "spsa,0,stp_0,0.5,1,1  1,1 1,2,,0,,", "spsa,0.5,stp_0,0.5,1,1 1,1 1,2,,0,,",
                             "spsa,0,stp_0,0.5,1,1 1,1 1,2,,0,1,", "spsa,0,stp_0,0.5,1,1 1,1 1,2,,0,,,",
                             "spsa,0,stp_0,0.5,1,1 1,1 1,2,,0,,\r"})
        CHECK_THROWS_AS(parse_search_history(text + line + "\n", "file"), Error);
    CHECK_NOTHROW(parse_search_history(text + "spsa,0,stp_0,0.5,1,1 1,1 1,2,,0,,\n", "file"));
    CHECK_THROWS_AS(parse_search_history("step,loss\n1,2\n", "file"), Error);
}
