// MAR models with guiding pixels, as a user trains, resumes, samples, measures and edits with them.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "data/images/image_file.h"
#include "tests/end_to_end/test_directory.h"

namespace {

bool same_size(const std::filesystem::path& a, const std::filesystem::path& b) {
    const Image first = read_image(a, 3), second = read_image(b, 3);
    return first.width == second.width && first.height == second.height;
}

struct MarModel {
    MarModel() {
        work.write(
            "model.json",
            R"({"img_size_list": [8, 4, 1], "embed_dim_list": [16, 16, 16], "num_blocks_list": [1, 1, 1], "num_heads_list": [2, 2, 2],
                "generator_type_list": ["mar", "mar", "ar"], "num_conds": 5, "guiding_pixel": true, "class_num": 10})");
        work.make_fractals("data.bin", 40);
    }

    Outcome sample(const std::string& job, const Words& more) const {
        return work.run("sample", Words{job, "--checkpoint", work.path("run/last.safetensors")} + more);
    }
    void train(std::int64_t steps) const {
        // Such small updates leave the predictions nearly uniform: redrawn pixels differ almost surely.
        REQUIRE(work.run("train", work.training("run", steps, {"--lr", "1e-4"})).exit_code == 0);
    }
    // A picture of the model's size.
    std::string picture() const {
        REQUIRE(sample("fractal", {"--count", "1", "--classes", "3", "--seed", "77", "--each",
                                   work.path("drawn"), "--overwrite"})
                    .exit_code == 0);
        return work.path("drawn/000000-class-3.png");
    }
    // Results of an edit one by one.
    std::vector<Image> results(const std::string& name, int count, const Words& more) const {
        const Outcome outcome =
            sample("edit", Words{"--image", picture(), "--count", std::to_string(count), "--out",
                                 work.path(name + ".png"), "--each", work.path(name)} +
                               more);
        INFO(outcome.errors);
        REQUIRE(outcome.exit_code == 0);
        std::vector<Image> images;
        for (int i = 0; i < count; ++i)
            images.push_back(read_image(work.at(name) / ("00000" + std::to_string(i) + ".png"), 3));
        return images;
    }
    void check_refused(const Outcome& outcome, const std::string& part) const {
        CHECK(outcome.exit_code != 0);
        CHECK(is_one_line(outcome.errors));
        CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
    }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(MarModel,
                  "end to end: a resumed MAR run ends in the same bits, masks and dropout included") {
    const Words dropout = {"--dropout", "0.1", "--accumulation", "2"};
    REQUIRE(work.run("train", work.training("whole", 6, dropout)).exit_code == 0);
    REQUIRE(work.run("train", work.training("run", 3, dropout)).exit_code == 0);
    REQUIRE(work.run("train", work.training("run", 6, dropout)).exit_code == 0);
    CHECK(differences(work.at("whole/last.safetensors"), work.at("run/last.safetensors")) == "");
    CHECK(read_reproducible_log(work.at("whole")) == read_reproducible_log(work.at("run")));
}

TEST_CASE_FIXTURE(MarModel, "end to end: images do not depend on the batch; iterations and traces") {
    train(6);
    const auto draw = [&](const std::string& name, const Words& more) {
        const Outcome outcome = sample("fractal", Words{"--count", "5", "--out", work.path(name)} + more);
        INFO(outcome.errors);
        REQUIRE(outcome.exit_code == 0);
        return read_file(work.at(name));
    };
    const std::string sheet = draw("a.png", {"--cfg", "3"});
    CHECK(draw("b.png", {"--cfg", "3", "--batch", "2"}) == sheet);
    CHECK(draw("c.png", {"--cfg", "3", "--iters", "1,1"}) != sheet);
    CHECK(draw("d.png", {"--cfg", "3", "--trace", work.path("trace"), "--iters", "3,4"}) != "");
    CHECK(same_size(work.at("trace") / "0000.png", work.at("d.png")));
    CHECK(read_file(work.at("trace") / "0003.png") == read_file(work.at("d.png")));
    CHECK_FALSE(std::filesystem::exists(work.at("trace") / "0004.png"));
    CHECK(read_file(work.at("trace") / "trace.webp").starts_with("RIFF"));
    check_refused(sample("fractal", {"--count", "5", "--batch", "2", "--out", work.path("e.png"), "--trace",
                                     work.path("t")}),
                  "--trace");
    check_refused(sample("fractal", {"--out", work.path("e.png"), "--iters", "3"}), "--iters");
}

TEST_CASE_FIXTURE(MarModel, "end to end: the likelihood is named an estimate, and passes narrow it") {
    train(3);
    const auto nll = [&](const Words& more) {
        const Outcome outcome =
            work.run("sample", Words{"evaluate", "nll", "--checkpoint", work.path("run/last.safetensors"),
                                     "--data", work.path("data.bin")} +
                                   more);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return outcome.output;
    };
    CHECK(nll({}).find("estimate of the order-agnostic likelihood bound") != std::string::npos);
    const auto one = nlohmann::json::parse(nll({"--json"})),
               eight = nlohmann::json::parse(nll({"--json", "--passes", "8"}));
    CHECK(one["exact"] == false);
    CHECK(one["images"] == 40);
    CHECK(eight["images"] == 40);
    CHECK(eight["passes"] == 8);
    CHECK(eight["standard_error"].get<double>() < one["standard_error"].get<double>());
    CHECK(one["bits_per_dim_with_guiding_pixels"].get<double>() > one["bits_per_dim"].get<double>() + 1);
    CHECK(nlohmann::json::parse(nll({"--json"})) == one);
    CHECK(nlohmann::json::parse(nll({"--json", "--seed", "1"})) != one);
}

TEST_CASE_FIXTURE(MarModel, "end to end: edits keep what is known and follow seed, class and region") {
    train(3);
    const Image original = read_image(picture(), 3);
    const auto box = results("box", 3, {"--box", "2,1,3,5"});
    for (const Image& image : box) {
        int inside = 0;
        for (int y = 0; y < 8; ++y)
            for (int x = 0; x < 8; ++x) {
                const auto at = static_cast<std::size_t>((y * 8 + x) * 3);
                const bool same = std::equal(image.pixels.begin() + static_cast<std::ptrdiff_t>(at),
                                             image.pixels.begin() + static_cast<std::ptrdiff_t>(at + 3),
                                             original.pixels.begin() + static_cast<std::ptrdiff_t>(at));
                if (x >= 2 && x < 5 && y >= 1 && y < 6)
                    inside += !same;
                else
                    CHECK(same);
            }
        CHECK(inside > 10);
    }
    CHECK(box[0].pixels != box[1].pixels);
    CHECK(results("again", 3, {"--box", "2,1,3,5"})[2].pixels == box[2].pixels);
    CHECK(results("seed", 3, {"--box", "2,1,3,5", "--seed", "4"})[2].pixels != box[2].pixels);
    CHECK(results("class", 3, {"--box", "2,1,3,5", "--class", "7", "--cfg", "400"})[2].pixels !=
          box[2].pixels);

    // A mask file of the same pixels is equivalent to the box.
    Image mask{8, 8, 1, std::vector<std::uint8_t>(64)};
    for (int y = 1; y < 6; ++y)
        for (int x = 2; x < 5; ++x) mask.pixels[static_cast<std::size_t>(y * 8 + x)] = 255;
    write_png(work.at("mask.png"), mask);
    CHECK(results("masked", 3, {"--mask", work.path("mask.png")})[1].pixels == box[1].pixels);

    CHECK(results("out", 1, {"--outpaint", "0,0,2,2"}).size() == 1);
    CHECK(results("uncrop", 1, {"--uncrop", "4,6", "--trace", work.path("trace")}).size() == 1);
    // One image of 8 x 8, eight times enlarged, with a margin of two pixels.
    CHECK(read_image(work.at("trace") / "0000.png", 3).width == 68);
}

TEST_CASE_FIXTURE(MarModel,
                  "end to end: edits that cannot be done say why in one line and leave nothing behind") {
    train(3);
    const std::string image = picture();
    write_png(work.at("small.png"), Image{6, 7, 3, std::vector<std::uint8_t>(6 * 7 * 3, 9)});
    write_png(work.at("black.png"), Image{8, 8, 1, std::vector<std::uint8_t>(64)});
    write_png(work.at("wrong.png"), Image{9, 8, 1, std::vector<std::uint8_t>(72, 255)});
    const auto before = work.listing();
    const auto edit = [&](const std::string& picture_path, const Words& more) {
        return sample("edit", Words{"--image", picture_path, "--out", work.path("sheet.png")} + more);
    };
    check_refused(edit(image, {}), "--mask");
    check_refused(edit(image, {"--box", "1,1,2,2", "--uncrop", "4,4"}), "--");
    check_refused(edit(image, {"--box", "7,7,2,2"}), "--box");
    check_refused(edit(image, {"--box", "1,1,0,2"}), "--box");
    check_refused(edit(image, {"--mask", work.path("black.png")}), "mask");
    check_refused(edit(image, {"--mask", work.path("wrong.png")}), "9 x 8");
    check_refused(edit(image, {"--mask", work.path("none.png")}), "none.png");
    check_refused(edit(work.path("small.png"), {"--box", "1,1,2,2"}), "6 x 7");
    check_refused(edit(image, {"--box", "1,1,2,2", "--class", "10"}), "--class 10");
    check_refused(edit(image, {"--box", "1,1,2,2", "--class", "-1"}), "--class -1");
    check_refused(edit(image, {"--box", "1,1,2,2", "--cfg", "3"}), "--cfg 3");
    check_refused(edit(image, {"--outpaint", "4,4,4,4"}), "--outpaint");
    check_refused(edit(image, {"--uncrop", "9,4"}), "--uncrop");
    CHECK(work.listing() == before);
}
