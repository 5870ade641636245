// Images of build/sample: reproducible, independent of the batch, and the same on the sheet as one by one.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "data/images/image_file.h"
#include "tests/end_to_end/test_directory.h"

namespace {

struct TrainedModel {
    TrainedModel() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 40);
        REQUIRE(work.run("train", work.training("run", 8)).exit_code == 0);
    }

    // The images of seven classes one after the other, as the PNG files hold them.
    std::string draw(const std::string& name, const Words& more = {}) const {
        const Outcome outcome =
            work.run("sample", Words{"fractal", "--checkpoint", work.path("run/last.safetensors"), "--each",
                                     work.path(name), "--count", "7"} +
                                   more);
        REQUIRE(outcome.exit_code == 0);
        std::string bytes;
        for (int i = 0; i < 7; ++i)
            bytes += read_file(work.at(name) / fmt::format("{:06}-class-{}.png", i, i));
        return bytes;
    }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(TrainedModel, "end to end: the same seed draws the same images, whatever the batch") {
    const std::string images = draw("a");
    CHECK(draw("b") == images);
    CHECK(draw("c", {"--batch", "3"}) == images);
    CHECK(draw("d", {"--batch", "1"}) == images);
    CHECK(draw("e", {"--seed", "1"}) != images);
    CHECK(draw("f", {"--temperature", "2"}) != images);
}

TEST_CASE_FIXTURE(TrainedModel, "end to end: guided images, too, depend on seed and number alone") {
    const std::string guided = draw("a", {"--cfg", "40"});
    CHECK(draw("b", {"--cfg", "40", "--batch", "2"}) == guided);
    CHECK(draw("c") != guided);
    CHECK(draw("d", {"--cfg", "40", "--cfg-schedule", "constant"}) != guided);
}

TEST_CASE_FIXTURE(TrainedModel, "end to end: greedy images do not depend on the seed") {
    const std::string greedy = draw("a", {"--greedy"});
    CHECK(draw("b", {"--greedy", "--seed", "5"}) == greedy);
    CHECK(draw("c") != greedy);
}

TEST_CASE_FIXTURE(TrainedModel, "end to end: the sheet shows the images that --each writes, class by class") {
    const Outcome outcome = work.run(
        "sample", {"fractal", "--checkpoint", work.path("run/last.safetensors"), "--classes", "mountains,2",
                   "--count", "5", "--out", work.path("sheet.png"), "--each", work.path("each")});
    REQUIRE(outcome.exit_code == 0);
    CHECK(outcome.output.starts_with("5 images in "));
    const Image sheet = read_image(work.at("sheet.png"), 3);
    constexpr int factor = 8, pitch = 66, columns = 2;  // images enlarged to 64 pixels, two pixels apart
    REQUIRE(sheet.width == 2 + columns * pitch);
    REQUIRE(sheet.height == 2 + 3 * pitch);
    for (int n = 0; n < 5; ++n) {
        const Image image =
            read_image(work.at("each") / fmt::format("{:06}-class-{}.png", n, n % 2 == 0 ? 9 : 2), 3);
        REQUIRE(image.width == 8);
        REQUIRE(image.height == 8);
        int different = 0;
        for (int y = 0; y < 8; ++y)
            for (int x = 0; x < 8; ++x) {
                const int row = 2 + n / columns * pitch + y * factor + 3,
                          column = 2 + n % columns * pitch + x * factor + 3;
                const auto shown = sheet.pixels.begin() + (row * sheet.width + column) * 3;
                different += !std::equal(shown, shown + 3, image.pixels.begin() + (y * 8 + x) * 3);
            }
        CHECK(different == 0);
    }
}

TEST_CASE_FIXTURE(TrainedModel, "end to end: a sheet of few classes is about as wide as high") {
    const Outcome outcome =
        work.run("sample", {"fractal", "--checkpoint", work.path("run/last.safetensors"), "--classes", "9,2",
                            "--count", "16", "--out", work.path("sheet.png")});
    REQUIRE(outcome.exit_code == 0);
    const Image sheet = read_image(work.at("sheet.png"), 3);
    CHECK(sheet.width == 2 + 4 * 66);
    CHECK(sheet.height == 2 + 4 * 66);
}

TEST_CASE_FIXTURE(TrainedModel, "end to end: several jobs draw the parts of what one would draw") {
    const std::string whole = draw("whole");
    const auto part = [&](const char* first, const char* count) {
        REQUIRE(work.run("sample", {"fractal", "--checkpoint", work.path("run/last.safetensors"), "--each",
                                    work.path("parts"), "--first", first, "--count", count})
                    .exit_code == 0);
    };
    part("3", "4");
    part("0", "3");
    std::string bytes;
    for (int i = 0; i < 7; ++i)
        bytes += read_file(work.at("parts") / fmt::format("{:06}-class-{}.png", i, i));
    CHECK(bytes == whole);
}

TEST_CASE_FIXTURE(TrainedModel,
                  "end to end: what could not be written in the end is refused before drawing") {
    const auto refused = [&](const Words& more, int exit_code, const std::string& what) {
        const auto before = work.listing();
        const Outcome outcome =
            work.run("sample", Words{"fractal", "--checkpoint", work.path("run/last.safetensors")} + more);
        CAPTURE(outcome.errors);
        CHECK(outcome.exit_code == exit_code);
        CHECK(is_one_line(outcome.errors));
        CHECK(outcome.errors.find(what) != std::string::npos);
        CHECK(work.listing() == before);
    };
    // An image takes milliseconds, a million of them would outlast the test.
    refused({"--count", "50000", "--out", work.path("no/such/folder/a.png")}, 1, "a.png: cannot be written");
    refused({"--count", "1000000", "--out", work.path("a.png")}, 2, "too many for a PNG file");
}
