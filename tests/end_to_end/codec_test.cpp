// build/sample compress and decompress: pictures come back byte for byte, and what could go wrong is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "data/images/image_file.h"
#include "data/records/coded_pictures.h"
#include "data/records/packed.h"
#include "tests/end_to_end/refusal.h"
#include "tests/end_to_end/test_directory.h"

namespace {

namespace fs = std::filesystem;

Image random_picture(unsigned seed, int size = 8) {
    Image image{size, size, 3, {}};
    for (int i = 0; i < size * size * 3; ++i)
        image.pixels.push_back(static_cast<std::uint8_t>((seed = seed * 1664525 + 1013904223) >> 24));
    return image;
}

struct Codec {
    Codec() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 40);
        REQUIRE(work.run("train", work.training("run", 8)).exit_code == 0);
        fs::create_directories(work.at("in/more"));
        for (unsigned i = 0; i < 5; ++i)
            write_png(work.at(i % 2 == 0 ? "in" : "in/more") / ("picture " + std::to_string(i) + ".png"),
                      random_picture(i));
    }

    Outcome compress(const std::string& images, const std::string& out, const Words& more = {}) const {
        return work.run("sample", Words{"compress", "--checkpoint", work.path("run/last.safetensors"),
                                        "--images", work.path(images), "--out", work.path(out)} +
                                      more);
    }
    Words decompression(const std::string& data, const std::string& out) const {
        return {"decompress", "--checkpoint", work.path("run/last.safetensors"), "--data", work.path(data),
                "--out",      work.path(out)};
    }
    Outcome decompress(const std::string& data, const std::string& out) const {
        return work.run("sample", decompression(data, out));
    }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(Codec, "end to end: a folder's pictures come back by their names") {
    const Outcome coded = compress("in", "a.frc");
    CAPTURE(coded.errors);
    REQUIRE(coded.exit_code == 0);
    CHECK(coded.output.starts_with("5 pictures of 8x8 in "));
    for (const char* what : {"\nPNG ", "\nWebP, lossless ", "\nthis file ", "\nthe model's likelihood "})
        CHECK(coded.output.find(what) != std::string::npos);
    const Outcome decoded = decompress("a.frc", "out");
    CAPTURE(decoded.errors);
    REQUIRE(decoded.exit_code == 0);
    for (unsigned i = 0; i < 5; ++i) {
        const std::string name = (i % 2 == 0 ? "picture " : "more/picture ") + std::to_string(i) + ".png";
        CHECK(read_image(work.at("out") / name, 3).pixels == random_picture(i).pixels);
    }
    check_refusal(work,
                  {"sample", decompression("a.frc", "out"), 2, {"--out", "picture 0.png", "--overwrite"}});
    CHECK(work.run("sample", decompression("a.frc", "out") + Words{"--overwrite"}).exit_code == 0);
}

TEST_CASE_FIXTURE(Codec, "end to end: packed pictures come back, in any batch, for any number of threads") {
    std::string first;
    for (const char* batch : {"64", "3"}) {
        for (const char* threads : {"1", "3"}) {
            ::setenv("OMP_NUM_THREADS", threads, 1);
            REQUIRE(compress("data.bin", "a.frc", {"--batch", batch}).exit_code == 0);
            ::setenv("OMP_NUM_THREADS", "1", 1);
            const std::string bytes = read_file(work.at("a.frc"));
            if (std::string_view(threads) == "1") first = bytes;
            CHECK(bytes == first);
        }
        REQUIRE(decompress("a.frc", batch).exit_code == 0);
        const PackedFile data(work.at("data.bin"));
        const CodedHeader numbered{8, 3, data.count(), 1, 0, 0, "", {}};
        for (std::int64_t i = 0; i < data.count(); ++i)
            CHECK(planar_pixels(read_image(work.at(batch) / numbered.decoded_name(i), 3)) ==
                  std::vector<std::uint8_t>(data.pixels(i), data.pixels(i) + data.record_bytes()));
    }
}

TEST_CASE_FIXTURE(Codec, "end to end: pictures that cannot be coded, and a model that cannot code") {
    const auto refused = [&](const std::string& images, int exit_code, const Words& named,
                             const std::string& checkpoint = "run/last.safetensors") {
        check_refusal(work, {"sample",
                             {"compress", "--checkpoint", work.path(checkpoint), "--images",
                              work.path(images), "--out", work.path("a.frc")},
                             exit_code,
                             named});
    };
    fs::create_directory(work.at("sizes"));
    write_png(work.at("sizes/a.png"), random_picture(1));
    write_png(work.at("sizes/b.png"), random_picture(2, 9));
    refused("sizes", 1, {"b.png", "9x9", "8x8"});
    refused("missing", 1, {"missing"});
    refused("model.json", 1, {"model.json"});
    fs::create_directory(work.at("twice"));
    write_png(work.at("twice/a.png"), random_picture(1));
    write_png(work.at("twice/a.PNG"), random_picture(1));
    refused("twice", 1, {"two pictures", "a.png"});
    std::string mar = read_file(work.at("model.json"));
    for (std::size_t at; (at = mar.find("\"ar\",")) != std::string::npos;) mar.replace(at, 5, "\"mar\",");
    work.write("model.json", mar);
    REQUIRE(work.run("train", work.training("mar", 1)).exit_code == 0);
    refused("in", 2, {"MAR level"}, "mar/last.safetensors");
    check_refusal(work, {"sample",
                         {"compress", "--checkpoint", work.path("run/last.safetensors"), "--images",
                          work.path("in/picture 0.png"), "--out", work.path("in/picture 0.png")},
                         2,
                         {"--out", "--images"}});
}

TEST_CASE_FIXTURE(Codec,
                  "end to end: files that are damaged, of other weights or of another machine are refused") {
    REQUIRE(compress("data.bin", "a.frc").exit_code == 0);
    const std::string whole = read_file(work.at("a.frc"));
    const auto refused = [&](const Words& named) {
        check_refusal(work, {"sample", decompression("b.frc", "out"), 1, named});
    };
    work.write("b.frc", whole.substr(0, whole.size() - 7));
    refused({"b.frc", "checksum"});
    for (const std::size_t place : {std::size_t{20}, std::size_t{50}, whole.size() / 2, whole.size() - 1}) {
        std::string flipped = whole;
        flipped[place] = static_cast<char>(flipped[place] ^ 4);
        work.write("b.frc", flipped);
        refused({"b.frc", "checksum"});
    }
    const auto rewritten = [&](const auto& change) {
        const CodedFile file(work.at("a.frc"));
        CodedHeader header = file.header();
        CodedSegment segment = file.segment(0);
        change(header, segment);
        CodedWriter writer(work.at("b.frc"), header);
        writer.add(segment);
        writer.commit();
    };
    rewritten([](CodedHeader& header, CodedSegment&) { header.weights ^= 1; });
    refused({"weights", "last.safetensors"});
    rewritten([](CodedHeader& header, CodedSegment&) {
        header.probe ^= 1;
        header.arithmetic = "cuda bf16 Some GPU";
    });
    refused({"cuda bf16 Some GPU", "cpu fp32"});
    rewritten([](CodedHeader&, CodedSegment& segment) { segment.checksums[3] ^= 1; });
    refused({"picture 3 (000003.png)"});
    rewritten([](CodedHeader& header, CodedSegment&) { header.size = 16; });
    refused({"16x16", "8x8"});
}
