// Captions from the packer and from the built-in data set, through token files and degraded copies.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>

#include "data/fractals/fractal_caption.h"
#include "data/images/image_file.h"
#include "data/records/packed.h"
#include "tests/end_to_end/random_nat.h"
#include "tests/end_to_end/refusal.h"

namespace {

std::string printed(const TestDirectory& work, const Words& words) {
    const Outcome outcome = work.run("data", words);
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    return outcome.output;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("end to end: captions of the built-in data set, carried into token files and copies") {
    const RandomNat files;
    const TestDirectory& work = files.work;
    const std::string data = work.path("data.bin");
    printed(work, {"fractals", "--captions", "--out", data, "--size", "16", "--count", "20"});
    printed(work, {"fractals", "--out", work.path("plain.bin"), "--size", "16", "--count", "20"});
    const PackedFile captioned(data), plain(work.path("plain.bin"));
    CHECK(captioned.caption_count() == 60);
    CHECK_FALSE(plain.has_captions());
    for (std::int64_t i = 0; i < 20; ++i)
        CHECK(std::equal(plain.pixels(i), plain.pixels(i) + plain.record_bytes(), captioned.pixels(i)));
    CHECK(contains(std::string(captioned.caption(5, 0)), "fern"));

    const std::string info = printed(work, {"info", data, "--sheet", work.path("sheet.png")});
    CHECK(contains(info, "60 captions of 20 images\n"));
    CHECK(contains(info, fmt::format("     1  {}\n", captioned.caption(1, 0))));
    CHECK(contains(info, fmt::format("        {}\n", captioned.caption(2, 2))));
    CHECK(read_image(work.path("sheet.png"), 3).width == 6 + 10 * 198);
    CHECK_FALSE(contains(printed(work, {"info", work.path("plain.bin")}), "caption"));

    printed(work, {"tokens", "--tokenizer", work.path("tokenizer.safetensors"), "--data", data, "--out",
                   work.path("tokens")});
    const TokenFile tokens(work.path("tokens"));
    CHECK(tokens.caption_count() == 60);
    for (std::int64_t i = 0; i < 20; ++i)
        for (std::int64_t k = 0; k < 3; ++k) CHECK(tokens.caption(i, k) == captioned.caption(i, k));

    printed(work,
            {"degrade", "--data", data, "--blur", "1", "--without", "julia", "--out", work.path("worse")});
    const PackedFile worse(work.path("worse"));
    CHECK(worse.caption_count() == 54);
    CHECK(worse.caption(1, 2) == captioned.caption(2, 2));
}

TEST_CASE("end to end: combinations of class and palette that are set apart") {
    const TestDirectory work;
    std::set<std::string> seen, unseen;
    for (const std::string part : {"seen", "unseen"}) {
        const std::string out = work.path(part);
        const std::string line =
            printed(work, {"fractals", "--colours", "any", "--captions", "--combinations", part, "--size",
                           "8", "--count", "100", "--first", "40", "--out", out});
        CHECK(contains(line, "numbers 40 to "));
        const PackedFile file(out);
        CHECK(file.count() == 100);
        std::uint64_t index = 40;
        for (std::int64_t i = 0; i < 100; ++i, ++index) {
            const auto wanted = [&](int label) {
                return is_unseen_combination(label, fractal_palette(label, 0, index)) == (part == "unseen");
            };
            while (!wanted(static_cast<int>(index % 10))) ++index;
            const int label = file.label(i);
            REQUIRE(label == static_cast<int>(index % 10));
            (part == "seen" ? seen : unseen)
                .insert(fmt::format("{} {}", label, fractal_palette(label, 0, index)));
            CHECK(contains(std::string(file.caption(i, 0)),
                           std::string(fractal_palette_name(fractal_palette(label, 0, index)))));
        }
    }
    for (const std::string& combination : unseen) CHECK_FALSE(seen.contains(combination));
    CHECK(unseen.size() > 12);
    const auto refused = [&](const Words& words, const Words& named) {
        check_refusal(work, {"data", Words{"fractals", "--out", work.path("none")} + words, 2, named});
    };
    refused({"--combinations", "seen"}, {"--combinations", "--colours"});
    refused({"--combinations", "seen", "--colours", "own"}, {"--combinations seen", "--colours any"});
    refused({"--colours", "red"}, {"--colours", "red"});
}

TEST_CASE("end to end: build/data pack --captions, with a file and without") {
    const TestDirectory work;
    for (int i = 0; i < 13; ++i)
        write_png(work.at(fmt::format("{}.png", i)), {8, 8, 3, std::vector<std::uint8_t>(192, 100)});
    const std::string images = work.path("images"), out = work.path("out.bin");
    std::filesystem::create_directory(images);
    for (int i = 0; i < 13; ++i)
        std::filesystem::rename(work.at(fmt::format("{}.png", i)),
                                std::filesystem::path(images) / fmt::format("{}.png", i));
    work.write("images/3.txt", "a grey square\nthe same\n");
    work.write("images/no picture.txt", "a ghost\n");
    const Words words{"pack", "--images", images, "--size", "8", "--crop", "coco"};
    const Outcome beside = work.run("data", words + Words{"--captions", "--out", out});
    REQUIRE(beside.exit_code == 0);
    CHECK(beside.output == fmt::format("{}: 13 images\n2 captions\n", out));
    CHECK(contains(beside.errors, "12 images without captions:\n  " + images + "/0.png\n"));
    CHECK(contains(beside.errors, "\n  ...\n"));
    CHECK(contains(beside.errors, "1 file of captions without a picture:\n  no picture.txt\n"));
    CHECK(PackedFile(out).caption_count() == 2);

    work.write("captions.tsv", "7.png\tby a file\nx.png\tno\n");
    const Outcome from_file =
        work.run("data", words + Words{"--out", out, "--captions", work.path("captions.tsv")});
    REQUIRE(from_file.exit_code == 0);
    CHECK(contains(from_file.output, "\n1 caption\n"));
    CHECK(contains(from_file.errors, "captions for 1 picture not in the folder:\n  x.png\n"));
    work.write("captions.tsv", "x.png\tno\n");
    check_refusal(work, {"data",
                         words + Words{"--out", work.path("none"), "--captions", work.path("captions.tsv")},
                         1,
                         {images, "no image has captions", "captions.tsv", "x.png"}});
    check_refusal(work, {"data",
                         words + Words{"--out", work.path("none"), "--captions", work.path("nothing")},
                         2,
                         {"nothing", "cannot be opened"}});
    check_refusal(work, {"data",
                         {"pack", "--cifar10", images, "--split", "test", "--captions", "--out", out},
                         2,
                         {"--captions", "--images"}});
}
