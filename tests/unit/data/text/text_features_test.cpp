#include "data/text/text_features.h"

#include <doctest/doctest.h>

#include <fstream>
#include <vector>

#include "data/records/packed.h"
#include "data/text/caption_ids.h"
#include "data/text/evaluation_captions.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

const TextFeatureFormat format{3, 2, 0x1234, 0x5678};

std::vector<float> features_of(float caption) {
    return {caption, -0.5f, 0.25f, 1024.0f, 0.1f, caption / 3};
}

void write_features(const std::filesystem::path& path, int captions) {
    TextFeatureWriter writer(path, format);
    for (int i = 0; i <= captions; ++i) writer.add(features_of(static_cast<float>(i)));
    writer.commit();
}

// Four pictures: "a0"; none; "c0", "c1", "c2"; "d0".
void write_captioned(const std::filesystem::path& path) {
    const std::vector<std::uint8_t> pixels(3);
    PackedWriter writer(path, 1, 3, {});
    for (const std::vector<std::string>& captions :
         {std::vector<std::string>{"a0"}, {}, {"c0", "c1", "c2"}, {"d0"}})
        writer.add(pixels.data(), -1, captions);
    writer.commit();
}

}  // namespace

TEST_CASE("text features: in half precision there and back, the empty caption last") {
    const TemporaryFolder folder;
    write_features(folder / "a.features", 5);
    const TextFeatureFile file(folder / "a.features");
    CHECK(file.format() == format);
    CHECK(file.count() == 5);
    CHECK(is_text_feature_file(folder / "a.features"));
    CHECK(std::filesystem::file_size(folder / "a.features") - text_feature_bytes(format, 5) < 1024);
    CHECK_NOTHROW(file.verify());
    for (const std::int64_t caption : {0, 4, -1}) {
        std::vector<float> values(6);
        file.read(caption, values.data());
        const std::vector<float> exact = features_of(static_cast<float>(caption < 0 ? 5 : caption));
        for (std::size_t i = 0; i < values.size(); ++i)
            CHECK(values[i] == doctest::Approx(exact[i]).epsilon(1.0 / 2048));
    }
    CHECK_NOTHROW(file.require_captions(0x5678, "data.bin"));
    CHECK_THROWS_WITH_AS(file.require_captions(1, "data.bin"),
                         doctest::Contains("other captions than those of data.bin"), Error);
}

TEST_CASE("text features: what half precision cannot hold, and what is no such file, is refused") {
    const TemporaryFolder folder;
    TextFeatureWriter writer(folder / "a.features", format);
    CHECK_THROWS_WITH_AS(writer.add(std::vector<float>{1, 2, 3, 1e6f, 5, 6}),
                         doctest::Contains("half precision"), Error);
    write_captioned(folder / "data.bin");
    CHECK_FALSE(is_text_feature_file(folder / "data.bin"));
    CHECK_THROWS_AS(TextFeatureFile(folder / "data.bin"), Error);
    CHECK_THROWS_AS(TextFeatureWriter(folder / "b.features", TextFeatureFormat{0, 2, 0, 0}), Error);
}

TEST_CASE("caption ids: padded, cut, and of one vocabulary") {
    const CaptionIds ids({"openai", 49408, 6, 0}, "encoder.json");
    CHECK(ids.of("a cat") == std::vector<std::int32_t>{49406, 320, 2368, 49407, 0, 0});
    CHECK(ids.of("a cat a cat a cat") == std::vector<std::int32_t>{49406, 320, 2368, 320, 2368, 49407});
    CHECK(ids.of("") == std::vector<std::int32_t>{49406, 49407, 0, 0, 0, 0});
    CHECK(ids.whole_length("a cat a cat a cat") == 8);
    CHECK(ids.table(std::vector<std::string>{"a"}).size() == 12);
    CHECK(CaptionIds({"hf", 49408, 4, 49407}, "").of("") ==
          std::vector<std::int32_t>{49406, 49407, 49407, 49407});
    const CaptionIds plain({"openai", 514, 6, 0}, ""), first_merge({"openai", 515, 6, 0}, "");
    CHECK(plain.of("in") == std::vector<std::int32_t>{512, 72, 333, 513, 0, 0});
    CHECK(first_merge.of("in") == std::vector<std::int32_t>{513, 72, 333, 514, 0, 0});  // "i n" is the first
    CHECK(first_merge.of("int") == std::vector<std::int32_t>{513, 512, 339, 514, 0, 0});
    for (const std::int64_t wrong : {513, 49409})
        CHECK_THROWS_WITH_AS(CaptionIds({"openai", wrong, 77, 0}, "encoder.json"),
                             doctest::Contains("ids, expected 514 to 49408, those of CLIP's"), UsageError);
    CHECK_THROWS_AS(CaptionIds({"bert", 49408, 77, 0}, "encoder.json"), UsageError);
}

TEST_CASE("evaluation captions: another image for every picture, or the first captions in order") {
    const TemporaryFolder folder;
    write_captioned(folder / "data.bin");
    CHECK(evaluation_captions(folder / "data.bin", CaptionProtocol::cc3m, 5, 0) ==
          std::vector<std::string>{"a0", "c0", "d0", "a0", "c0"});
    bool orders_differ = false, captions_differ = false;
    const auto first = evaluation_captions(folder / "data.bin", CaptionProtocol::coco, 6, 0);
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const auto captions = evaluation_captions(folder / "data.bin", CaptionProtocol::coco, 6, seed);
        std::string images;
        for (const std::string& caption : captions) images += caption.substr(0, 1);
        for (const char* const letter : {"a", "c", "d"}) {
            CHECK(images.substr(0, 3).find(letter) != std::string::npos);
            CHECK(images.substr(3).find(letter) != std::string::npos);
        }
        orders_differ |= captions[0][0] != first[0][0];
        for (const std::string& caption : captions) captions_differ |= caption == "c2";
    }
    CHECK(orders_differ);
    CHECK(captions_differ);
    CHECK(caption_protocol("--caption-protocol", "cc3m") == CaptionProtocol::cc3m);
    CHECK_THROWS_AS(caption_protocol("--caption-protocol", "flickr"), UsageError);
}
