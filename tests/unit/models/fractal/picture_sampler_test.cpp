// Pictures of models of codes: what the tokenizer makes of the codes that the model draws.
#include "models/fractal/picture_sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

#include "tests/unit/models/fractal/random_fractal.h"

using namespace random_fractal;

namespace {

// 8 x 8 tokens of 37 codes, pictures of 16 x 16 pixels.
struct CodesAndPictures {
    CodesAndPictures() {
        TokenizerConfig shape;
        shape.ch = 32;
        shape.ch_mult = {1, 1};
        shape.num_res_blocks = 1;
        shape.z_channels = shape.embed_dim = 4;
        shape.n_embed = 37;
        tokenizer = std::make_unique<Tokenizer>(shape, Device::cpu);
        tokenizer->parameters().allocate(Device::cpu, false);
        tokenizer->parameters().initialize(3);
    }

    const FractalConfig config = code_mar_configs[0];
    std::unique_ptr<FractalModel> model = random_model(config);
    std::unique_ptr<Tokenizer> tokenizer;
    std::vector<std::int64_t> classes{3, -1, 0};
};

}  // namespace

TEST_CASE("picture sampler: a picture's token is redone if any of its pixels is") {
    std::vector<std::uint8_t> mask(16 * 16), expected(8 * 8);
    mask[3 * 16 + 5] = mask[15 * 16 + 15] = mask[14 * 16 + 14] = 1;
    expected[1 * 8 + 2] = expected[7 * 8 + 7] = 1;
    CHECK(mask_of_model(code_mar_configs[0], mask) == expected);
    CHECK(mask_of_model(mar_configs[0], expected) == expected);  // of pixels as it is
}

TEST_CASE_FIXTURE(CodesAndPictures, "picture sampler: pictures are the drawn codes, decoded") {
    PictureSampler pictures(*model, tokenizer.get(), 3, false, {4, 3});
    CHECK(picture_size(config, tokenizer.get()) == 16);
    CHECK(picture_channels(config, tokenizer.get()) == 3);
    FractalSampler sampler(*model, 3, false, {4, 3});
    ImageCodec codec(*tokenizer, 16, 1, "test");
    const auto drawn = pictures.sample(classes, {});
    CHECK(drawn.size() == 3 * 3 * 16 * 16);
    CHECK(drawn == codec.decode(sampler.sample_codes(classes, {})));
    CHECK(pictures.planned_bytes() > sampler.plan().bytes);
    CHECK_THROWS_AS(PictureSampler(*model, nullptr, 3, false), std::logic_error);
    const auto of_pixels = random_model(configs[0]);
    CHECK_THROWS_AS(PictureSampler(*of_pixels, tokenizer.get(), 3, false), std::logic_error);
    FractalSampler plain(*of_pixels, 2, false);
    CHECK(PictureSampler(*of_pixels, nullptr, 2, false).sample(std::vector<std::int64_t>{1, 2}, {}) ==
          plain.sample(std::vector<std::int64_t>{1, 2}, {}));
}

TEST_CASE_FIXTURE(CodesAndPictures, "picture sampler: an edit keeps the codes of known tokens") {
    PictureSampler pictures(*model, tokenizer.get(), 3, false, {4, 3});
    FractalSampler sampler(*model, 3, false, {4, 3});
    ImageCodec codec(*tokenizer, 16, 1, "test");
    std::vector<std::uint8_t> picture, mask(16 * 16);
    for (const std::int32_t value : kernel_check::integers(3 * 16 * 16, 5, 256))
        picture.push_back(static_cast<std::uint8_t>(value));
    for (std::size_t y = 5; y < 12; ++y)
        std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(y * 16), 7, 1);
    const std::vector<std::int32_t> codes = codec.encode(picture);
    const std::vector<std::uint8_t> hidden = mask_of_model(config, mask);
    CHECK(std::ranges::count(hidden, std::uint8_t{1}) == 4 * 4);
    const auto edited = sampler.edit_codes({codes, hidden}, classes, {});
    for (std::size_t i = 0; i < edited.size(); ++i)
        if (hidden[i % 64] == 0) CHECK(edited[i] == codes[i % 64]);

    std::vector<std::int64_t> known_pixels;
    std::vector<std::uint8_t> last;
    pictures.trace([&](std::span<const std::uint8_t> so_far, std::span<const std::uint8_t> known) {
        REQUIRE(so_far.size() == 3 * 3 * 16 * 16);
        REQUIRE(known.size() == 3 * 16 * 16);
        CHECK(known[0] == 1);
        known_pixels.push_back(std::ranges::count(known, std::uint8_t{1}));
        last.assign(so_far.begin(), so_far.end());
    });
    const auto drawn = pictures.edit(picture, mask, classes, {});
    CHECK(drawn == codec.decode(edited));
    CHECK(last == drawn);
    CHECK(known_pixels.front() == 3 * (256 - 16 * 4));
    CHECK(std::ranges::is_sorted(known_pixels));
    CHECK(known_pixels.back() == 3 * 256);
}
