// Monitoring of a run: curves.png and TensorBoard's event files beside log.csv.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <csignal>
#include <fstream>

#include "data/images/image_file.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/unit/train/event_reader.h"
#include "train/event_record.h"

namespace {

struct Bench {
    Bench() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 40);
        work.make_fractals("holdout.bin", 9, 1000);
    }

    Words evaluating() const { return {"--validation", work.path("holdout.bin"), "--evaluate-every", "3"}; }

    void train(const std::string& run, std::int64_t steps, const Words& more = {}) const {
        const Outcome outcome = work.run("train", work.training(run, steps, more));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        CHECK(outcome.errors == "");
    }

    // The event files contain every number of log.csv and nothing else, for readers of either kind.
    void check_events_are_log(const std::string& run) const {
        std::map<std::string, std::map<std::int64_t, float>> expected;
        for (const auto& row : read_log(work.at(run)))
            for (const auto& [column, cell] : row)
                if (column != "step" && !cell.empty())
                    expected[column][std::stoll(row.at("step"))] = std::stof(cell);
        for (const bool heeds_starts : {false, true}) {
            const auto shown = shown_scalars(work.at(run), heeds_starts);
            CHECK(shown.size() == expected.size());
            for (const auto& [column, values] : expected) {
                REQUIRE_MESSAGE(shown.contains(column), column);
                const auto& points = shown.at(column);
                REQUIRE_MESSAGE(points.size() == values.size(), column);
                for (const auto& [step, value] : values) {
                    REQUIRE_MESSAGE(points.contains(step), column, " at ", step);
                    CHECK(std::abs(points.at(step) - value) <= 0.0051f * (column == "images_per_second") +
                                                                   0.051f * (column == "memory_mib") + 6e-7f +
                                                                   1e-5f * std::abs(value));
                }
            }
        }
    }

    Image curves(const std::string& run) const { return read_image(work.at(run) / "curves.png", 3); }

    TestDirectory work;
};

bool is_blank(const Image& image) {
    for (const std::uint8_t sample : image.pixels)
        if (sample != 255) return false;
    return true;
}

}  // namespace

TEST_CASE_FIXTURE(Bench, "end to end: a run's folder holds its curves and what TensorBoard reads") {
    train("run", 6, evaluating());
    const Image image = curves("run");
    CHECK(image.width == 1200);
    CHECK_FALSE(is_blank(image));
    REQUIRE(event_files(work.at("run")).size() == 1);
    check_events_are_log("run");
    std::map<std::int64_t, std::string> sheets;
    for (const ReadEvent& event : parse_events(read_file(event_files(work.at("run")).front())))
        for (const auto& [tag, sheet] : event.images) {
            CHECK(tag == "samples");
            CHECK(sheet.width == 68);
            sheets[event.step] = sheet.png;
        }
    REQUIRE(sheets.size() == 2);
    CHECK(sheets.at(3) == read_file(work.at("run/samples-00000003.png")));
    CHECK(sheets.at(6) == read_file(work.at("run/samples-00000006.png")));
}

TEST_CASE_FIXTURE(Bench, "end to end: a killed and continued run takes back what TensorBoard had of it") {
    Command command =
        work.start("train", work.training("run", 100'000, evaluating() + Words{"--save-every", "4"}));
    REQUIRE(command.wait_for_output("step 6/"));
    command.send(SIGKILL);
    command.finish();
    REQUIRE(event_files(work.at("run")).size() == 1);
    const std::string target = std::filesystem::read_symlink(work.at("run/last.safetensors")).string();
    const std::int64_t step = std::stoll(target.substr(target.find('-') + 1));
    // As if it had come further: a row, an event and half an event more.
    std::ofstream(work.at("run/log.csv"), std::ios::app) << fmt::format("{},1,1,1,1,1,1,\n", step + 1);
    const std::string later =
        framed_record(scalars_event(1, step + 1, std::vector<Scalar>{{"loss", 1}, {"ghost", 1}}));
    std::ofstream(event_files(work.at("run")).front(), std::ios::app | std::ios::binary)
        << later << later.substr(0, later.size() / 2);

    train("run", step + 3, evaluating() + Words{"--save-every", "4"});
    CHECK(event_files(work.at("run")).size() == 2);
    check_events_are_log("run");
    const auto second = parse_events(read_file(event_files(work.at("run")).at(1)));
    REQUIRE(second.size() > 2);
    CHECK(second.at(1).starts_session);
    CHECK(second.at(1).step == step + 1);

    // Started again with nothing left to do, it adds nothing.
    train("run", step + 3, evaluating() + Words{"--save-every", "4"});
    CHECK(event_files(work.at("run")).size() == 2);
}

TEST_CASE_FIXTURE(Bench, "end to end: a run that is asked to stop leaves its curves up to then") {
    Command command = work.start("train", work.training("run", 100'000));
    REQUIRE(command.wait_for_output("step 3/"));
    command.send(SIGTERM);
    CHECK(command.finish().exit_code == 0);
    CHECK_FALSE(is_blank(curves("run")));
    check_events_are_log("run");
}

TEST_CASE_FIXTURE(Bench, "end to end: curves that cannot be drawn do not end a run") {
    std::filesystem::create_directories(work.at("run/curves.png/in the way"));
    const Outcome outcome = work.run("train", work.training("run", 3));
    CHECK(outcome.exit_code == 0);
    CHECK(is_one_line(outcome.errors));
    CHECK(outcome.errors.find("curves.png") != std::string::npos);
    CHECK(std::filesystem::exists(work.at("run/last.safetensors")));
}

TEST_CASE_FIXTURE(Bench, "end to end: plot draws one run or several") {
    train("one", 3, evaluating());
    train("two", 4);
    const std::string automatic = read_file(work.at("one/curves.png"));
    std::filesystem::remove(work.at("one/curves.png"));
    const Outcome alone = work.run("sample", {"plot", "--run", work.path("one")});
    CHECK(alone.exit_code == 0);
    CHECK(alone.output == work.path("one/curves.png") + "\n");
    CHECK(read_file(work.at("one/curves.png")) == automatic);

    const Words both{"plot", "--run", work.path("one"), "--run", work.path("two"), "--out"};
    REQUIRE(work.run("sample", both + Words{work.path("both.png")}).exit_code == 0);
    CHECK(read_image(work.at("both.png"), 3).width == 1200);
    CHECK(read_file(work.at("both.png")) != automatic);

    std::filesystem::create_directory(work.at("empty"));
    std::filesystem::create_directory(work.at("other"));
    work.write("empty/log.csv", "step,loss\n");
    work.write("other/log.csv", "step,loss\n1,two\n");
    const auto before = work.listing();
    const auto refused = [&](const Words& words, int exit_code, std::string_view reason) {
        const Outcome outcome = work.run("sample", Words{"plot"} + words);
        CHECK(outcome.exit_code == exit_code);
        CHECK(is_one_line(outcome.errors));
        CHECK_MESSAGE(outcome.errors.find(reason) != std::string::npos, outcome.errors);
    };
    refused({"--run", work.path("none")}, 2, "none/log.csv: cannot be opened");
    refused({"--run", work.path("empty")}, 1, "empty/log.csv: holds no row yet");
    refused({"--run", work.path("other")}, 1, "other/log.csv: line 2");
    refused({"--run", work.path("one"), work.path("two")}, 2, "--out is required");
    refused(Words{"--run"} + Words(8, work.path("one")) + Words{"--out", work.path("eight.png")}, 2,
            "8 runs, expected at most 7");
    CHECK(work.listing() == before);
}
