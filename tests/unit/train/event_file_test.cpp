#include "train/event_file.h"

#include <doctest/doctest.h>

#include <chrono>

#include "data/images/image_file.h"
#include "runtime/base/error.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/unit/temporary_folder.h"
#include "tests/unit/train/event_reader.h"

namespace {

void add(EventFile& file, std::int64_t step, double loss) {
    file.add_scalars(step, std::vector<Scalar>{{"loss", loss}, {"speed", 100.0 + loss}});
}

using Curve = std::map<std::int64_t, float>;

void check_losses(const std::filesystem::path& folder, const Curve& expected) {
    for (const bool heeds_starts : {false, true})
        CHECK(shown_scalars(folder, heeds_starts)["loss"] == expected);
}

}  // namespace

TEST_CASE("event file: version, session start and scalars can be read while the file is written") {
    const TemporaryFolder folder;
    EventFile file(folder.path(), 0);
    CHECK(event_files(folder.path()).empty());
    add(file, 10, 2);
    add(file, 20, 1);
    REQUIRE(event_files(folder.path()).size() == 1);
    const auto events = parse_events(read_file(event_files(folder.path()).front()));
    REQUIRE(events.size() == 4);
    CHECK(events[0].file_version == "brain.Event:2");
    CHECK(events[1].starts_session);
    CHECK(events[1].step == 1);
    CHECK(events[2].step == 10);
    CHECK(events[3].scalars == std::map<std::string, float>{{"loss", 1}, {"speed", 101}});
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    CHECK(std::abs(events[3].wall_time - now.count()) < 3600);
}

TEST_CASE("event file: a run that continues keeps what came before and takes back what came after") {
    const TemporaryFolder folder;
    {
        EventFile file(folder.path(), 0);
        for (const std::int64_t step : {10, 20, 25, 30}) add(file, step, 1);
    }
    {
        EventFile file(folder.path(), 20);
        CHECK(event_files(folder.path()).size() == 2);  // at once: there were later events
        check_losses(folder.path(), {{10, 1}, {20, 1}});
        add(file, 30, 2);
        add(file, 40, 2);
    }
    const auto second = parse_events(read_file(event_files(folder.path()).at(1)));
    CHECK(second.at(1).starts_session);
    CHECK(second.at(1).step == 21);
    check_losses(folder.path(), {{10, 1}, {20, 1}, {30, 2}, {40, 2}});
    // To a step before the second file's events.
    EventFile file(folder.path(), 10);
    add(file, 15, 3);
    CHECK(event_files(folder.path()).size() == 3);
    check_losses(folder.path(), {{10, 1}, {15, 3}});
}

TEST_CASE("event file: a reader that has seen the later events takes them back at the session's start") {
    const TemporaryFolder folder;
    std::string before;
    {
        EventFile file(folder.path(), 0);
        for (const std::int64_t step : {10, 20, 25, 30}) add(file, step, 1);
        before = read_file(event_files(folder.path()).front());
    }
    EventFile file(folder.path(), 20);
    add(file, 30, 2);
    overwrite(event_files(folder.path()).front(), before);
    CHECK(shown_scalars(folder.path(), true)["loss"] == Curve{{10, 1}, {20, 1}, {30, 2}});
}

TEST_CASE("event file: a finished run that is started again leaves no file") {
    const TemporaryFolder folder;
    {
        EventFile file(folder.path(), 0);
        add(file, 10, 1);
    }
    const std::string before = read_file(event_files(folder.path()).front());
    { EventFile file(folder.path(), 10); }
    REQUIRE(event_files(folder.path()).size() == 1);
    CHECK(read_file(event_files(folder.path()).front()) == before);
}

TEST_CASE("event file: each file's name sorts behind those there are, whatever the clock says") {
    const TemporaryFolder folder;
    overwrite(folder / "events.out.tfevents.9000000000.elsewhere", "not ours, but in the way");
    overwrite(folder / "events.out.tfevents.nothing", "");
    std::filesystem::create_directory(folder / "events.out.tfevents.9900000000.folder");
    for (int start = 0; start < 3; ++start) {
        EventFile file(folder.path(), start);
        add(file, start + 1, 1);
    }
    const auto files = event_files(folder.path());
    REQUIRE(files.size() == 6);
    for (std::size_t i = 1; i < 4; ++i)
        CHECK(files[i].filename().string().starts_with("events.out.tfevents.900000000" + std::to_string(i)));
    CHECK(read_file(files[0]) == "not ours, but in the way");
}

TEST_CASE("event file: half a record at the end, left by a crash, does not disturb") {
    const TemporaryFolder folder;
    {
        EventFile file(folder.path(), 0);
        add(file, 10, 1);
        add(file, 20, 1);
    }
    const auto first = event_files(folder.path()).front();
    std::filesystem::resize_file(first, std::filesystem::file_size(first) - 3);
    EventFile file(folder.path(), 10);
    add(file, 20, 2);
    check_losses(folder.path(), {{10, 1}, {20, 2}});
}

TEST_CASE("event file: a sheet is shown as it is") {
    const TemporaryFolder folder;
    Image image{3, 2, 3, std::vector<std::uint8_t>(18, 7)};
    write_png(folder / "sheet.png", image);
    write_png(folder / "grey.png", {300, 1, 1, std::vector<std::uint8_t>(300, 7)});
    EventFile file(folder.path(), 0);
    file.add_image(5, "samples", folder / "sheet.png");
    file.add_image(5, "grey", folder / "grey.png");
    const auto events = parse_events(read_file(event_files(folder.path()).front()));
    REQUIRE(events.size() == 4);
    CHECK(events[2].step == 5);
    const ReadImage& read = events[2].images.at("samples");
    CHECK(read.width == 3);
    CHECK(read.height == 2);
    CHECK(read.colorspace == 3);
    CHECK(read.png == read_file(folder / "sheet.png"));
    CHECK(events[3].images.at("grey").width == 300);
    CHECK(events[3].images.at("grey").colorspace == 1);
    overwrite(folder / "text.png", "a text of more than twenty-six characters");
    CHECK_THROWS_WITH_AS(file.add_image(6, "samples", folder / "text.png"),
                         ((folder / "text.png").string() + ": not a PNG file").c_str(), Error);
    CHECK_THROWS_AS(file.add_image(6, "samples", folder / "none.png"), Error);
}

TEST_CASE("event file: what cannot be written is said") {
    const TemporaryFolder folder;
    EventFile file(folder.path(), 0);
    std::filesystem::rename(folder.path(), folder.path().string() + "-gone");
    CHECK_THROWS_AS(add(file, 10, 1), std::exception);
    std::filesystem::rename(folder.path().string() + "-gone", folder.path());
}
