// Classes are called the same in several files, but their numbers may differ: jobs go by the names.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "data/records/packed.h"
#include "runtime/files/safetensors.h"
#include "tests/end_to_end/refusal.h"

namespace {

constexpr int classes = 10;

struct TwoFiles {
    TwoFiles() {
        work.make_config("model.json", classes);
        work.make_fractals("data.bin", 40);
        work.make_fractals("holdout.bin", 20, 1000);
        std::vector<int> backwards(classes), same(classes);
        std::iota(same.begin(), same.end(), 0);
        std::ranges::reverse_copy(same, backwards.begin());
        const PackedFile data(work.at("data.bin")), holdout(work.at("holdout.bin"));
        const Names names = data.classes();
        renumber(data, "data.backwards.bin", names, backwards);
        renumber(holdout, "holdout.backwards.bin", names, backwards);
        Names other = names;
        other[3] = "another";
        renumber(data, "data.other.bin", other, same);
        renumber(holdout, "holdout.other.bin", other, same);
        third = names[3];
        REQUIRE(work.run("train", work.training("run", 3)).exit_code == 0);
    }

    using Names = std::vector<std::string>;

    // The same pictures, the classes called `names`; class i gets the number numbers[i].
    void renumber(const PackedFile& from, const char* to, const Names& names,
                  const std::vector<int>& numbers) const {
        Names renumbered(names.size());
        for (std::size_t i = 0; i < names.size(); ++i)
            renumbered[static_cast<std::size_t>(numbers[i])] = names[i];
        PackedWriter writer(work.at(to), from.size(), from.channels(), renumbered);
        for (std::int64_t i = 0; i < from.count(); ++i)
            writer.add(from.pixels(i), numbers[static_cast<std::size_t>(from.label(i))]);
        writer.commit();
    }

    double bits(const char* data, const Words& more = {}) const {
        const Outcome outcome =
            work.run("sample", Words{"evaluate", "nll", "--checkpoint", work.path("run/last.safetensors"),
                                     "--data", work.path(data), "--json"} +
                                   more);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return nlohmann::json::parse(outcome.output)["bits_per_dim"];
    }
    // Rows of the class embeddings.
    std::vector<std::vector<float>> embeddings(const char* run) const {
        const SafetensorsFile file(work.at(run) / "last.safetensors");
        const std::span<const float> all = file.floats("class_emb.weight");
        const std::size_t width = all.size() / classes;
        std::vector<std::vector<float>> rows;
        for (std::size_t i = 0; i < classes; ++i)
            rows.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(i * width),
                              all.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
        return rows;
    }
    // One update that is too small to change a weight.
    Outcome start_from(const char* out, const char* data, const Words& more = {}) const {
        return work.run("train", work.training(out, 1,
                                               Words{"--data", work.path(data), "--lr", "1e-30",
                                                     "--init-from", work.path("run/last.safetensors")} +
                                                   more));
    }

    TestDirectory work;
    std::string third;  // class 3
};

}  // namespace

TEST_CASE_FIXTURE(TwoFiles, "end to end: the likelihood given the class finds the class by its name") {
    const double expected = bits("holdout.bin", {"--conditional"});
    CHECK(bits("holdout.backwards.bin", {"--conditional"}) == expected);
    CHECK(bits("holdout.backwards.bin", {"--conditional", "--ignore-class-names"}) != expected);
    CHECK(bits("holdout.other.bin", {"--conditional", "--ignore-class-names"}) == expected);
    CHECK(bits("holdout.other.bin") == bits("holdout.bin"));
    check_refusal(work, {"sample",
                         {"evaluate", "nll", "--checkpoint", work.path("run/last.safetensors"), "--data",
                          work.path("holdout.other.bin"), "--conditional"},
                         2,
                         {"holdout.other.bin: class 3 is called another", "run/last.safetensors",
                          "its class 3 is called " + third, "--ignore-class-names"}});
}

TEST_CASE_FIXTURE(TwoFiles, "end to end: validation images and a run that goes on have the data's classes") {
    const auto validation = [&](const char* data) { return Words{"--validation", work.path(data)}; };
    check_refusal(work, {"train",
                         work.training("new", 1, validation("holdout.other.bin")),
                         2,
                         {"holdout.other.bin: class 3 is called another", "data.bin", third}});
    for (const Words& more : {validation("holdout.backwards.bin"),
                              validation("holdout.other.bin") + Words{"--ignore-class-names"}}) {
        const Outcome outcome = work.run("train", work.training("new", 1, more));
        CHECK_MESSAGE(outcome.exit_code == 0, outcome.errors);
    }
    for (const auto& [data, named] : std::vector<std::pair<std::string, std::string>>{
             {"data.other.bin", "class 3 is called another"}, {"data.backwards.bin", "in another order"}})
        check_refusal(work, {"train",
                             work.training("run", 4, {"--data", work.path(data)}),
                             2,
                             {data, named, "run/checkpoint-00000003.safetensors"}});
}

TEST_CASE_FIXTURE(TwoFiles, "end to end: --init-from takes each class's embedding by the class's name") {
    const auto before = embeddings("run");
    const Outcome same = start_from("same", "data.bin");
    REQUIRE_MESSAGE(same.exit_code == 0, same.errors);
    CHECK(embeddings("same") == before);
    const Outcome backwards = start_from("backwards", "data.backwards.bin");
    REQUIRE_MESSAGE(backwards.exit_code == 0, backwards.errors);
    const auto after = embeddings("backwards");
    for (std::size_t i = 0; i < classes; ++i) CHECK(after[i] == before[classes - 1 - i]);
    REQUIRE(start_from("numbers", "data.backwards.bin", {"--ignore-class-names"}).exit_code == 0);
    CHECK(embeddings("numbers") == before);

    const Outcome refused = start_from("other", "data.other.bin");
    CHECK(refused.exit_code == 2);
    CHECK(is_one_line(refused.errors));
    CHECK(refused.errors.find("data.other.bin: class 3 is called another") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(work.at("other")));
    REQUIRE(start_from("other", "data.other.bin", {"--ignore-class-names"}).exit_code == 0);
    CHECK(embeddings("other") == before);
}

TEST_CASE_FIXTURE(TwoFiles, "end to end: another number of classes has embeddings of its own, as ever") {
    work.make_config("few.json", 2);
    const PackedFile data(work.at("data.bin"));
    PackedWriter writer(work.at("few.bin"), data.size(), data.channels(), {"one", "two"});
    for (int i = 0; i < 8; ++i) writer.add(data.pixels(i), i % 2);
    writer.commit();
    const Outcome few = start_from("few", "few.bin", {"--config", work.path("few.json")});
    CHECK_MESSAGE(few.exit_code == 0, few.errors);
}

TEST_CASE_FIXTURE(TwoFiles, "end to end: classes that are called by numbers, asked for in every job") {
    const PackedFile data(work.at("data.bin"));
    Names numbers;
    for (int i = 1; i <= classes; ++i) numbers.push_back(std::to_string(i));
    std::vector<int> same(classes);
    std::iota(same.begin(), same.end(), 0);
    renumber(data, "numbers.bin", numbers, same);
    REQUIRE(work.run("train", work.training("run2", 1, {"--data", work.path("numbers.bin")})).exit_code == 0);
    const std::string checkpoint = work.path("run2/last.safetensors");
    const auto draw = [&](const std::string& asked) {
        return Words{"fractal", "--checkpoint",    checkpoint, "--classes",           asked, "--count", "1",
                     "--each",  work.path("each"), "--out",    work.path("sheet.png")};
    };
    check_refusal(work,
                  {"sample",
                   draw("1"),
                   2,
                   {"--classes 1", "class 0 is called 1", "class 1 is called 2", "name:1", "number:1"}});
    check_refusal(work, {"sample",
                         {"edit", "--checkpoint", checkpoint, "--image", "x.png", "--box", "0,0,2,2", "--out",
                          work.path("edit.png"), "--class", "1"},
                         2,
                         {"--class 1", "name:1", "number:1"}});
    for (const auto& [asked, number] : std::vector<std::pair<std::string, int>>{
             {"10", 9}, {"0", 0}, {"name:1", 0}, {"number:1", 1}, {"name:9", 8}}) {
        const Outcome outcome = work.run("sample", draw(asked));
        CHECK_MESSAGE(outcome.exit_code == 0, outcome.errors);
        CHECK(std::filesystem::exists(work.at("each") / fmt::format("000000-class-{}.png", number)));
        std::filesystem::remove_all(work.at("each"));
    }
}
