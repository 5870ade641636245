#include "models/fractal/codec.h"

#include <algorithm>

#include "models/metrics/likelihood.h"
#include "runtime/base/error.h"
#include "tests/unit/kernels/check_values.h"
#include "tests/unit/models/device_model.h"

using namespace device_model;
using namespace random_fractal;

namespace {

using Bytes = std::vector<std::uint8_t>;

std::int64_t picture_bytes(const FractalConfig& config) {
    return config.channels * config.image_size() * config.image_size();
}

Bytes random_pictures(const FractalConfig& config, std::int64_t count) {
    Bytes bytes;
    for (const std::int32_t value : kernel_check::integers(count * picture_bytes(config), 5, 256))
        bytes.push_back(static_cast<std::uint8_t>(value));
    return bytes;
}

FractalCodec::Decoded decode(FractalCodec& codec, const FractalCodec::Codes& codes, std::int64_t count) {
    const std::vector<std::span<const std::uint8_t>> views(codes.begin(), codes.end());
    return codec.decode(views, count);
}

double bits_of(const FractalCodec::Codes& codes) {
    double bits = 0;
    for (const Bytes& code : codes) bits += 8 * static_cast<double>(code.size());
    return bits;
}

std::unique_ptr<FractalModel> model_on(Device device, const FractalConfig& config, Precision precision) {
    auto model = random_model(config);
    return device == Device::cpu ? std::move(model) : on_gpu(*model, precision);
}

void check_round_trips(const FractalModel& model, std::int64_t count) {
    const Bytes pictures = random_pictures(model.config(), count);
    for (const std::int64_t lanes : {std::int64_t{1}, std::int64_t{3}, count}) {
        CAPTURE(lanes);
        FractalCodec codec(model, lanes);
        const FractalCodec::Codes codes = codec.encode(pictures);
        CHECK(std::ssize(codes) == lanes);
        FractalCodec other(model, lanes);
        CHECK(other.probe() == codec.probe());
        const FractalCodec::Decoded decoded = decode(other, codes, count);
        CHECK(decoded.pictures == pictures);
        CHECK(decoded.complete);
    }
}

}  // namespace

DEVICE_TEST("codec: pictures come back, whatever the number of lanes") {
    [[maybe_unused]] const HostAccessAllowed allowed;
    for (const FractalConfig& config : {ar, two_levels, make_config({4, 2, 1}, 1, 0)}) {
        CAPTURE(config.img_size_list);
        check_round_trips(*model_on(device, config, Precision::fp32), 5);
        if (device == Device::cuda) check_round_trips(*model_on(device, config, Precision::bf16), 4);
    }
}

TEST_CASE("codec: a code has as many bits as the likelihood says, in any number of lanes") {
    for (const FractalConfig& config : ar_configs) {
        const auto model = random_model(config);
        constexpr std::int64_t count = 6;
        // The model's own: in others, values are so improbable that the least interval is shorter.
        const Bytes pictures =
            FractalSampler(*model, count, false).sample(std::vector<std::int64_t>(count, -1), {});
        Likelihood likelihood(*model, count);
        likelihood.add(pictures, std::vector<std::int64_t>(count, -1));
        const double values = static_cast<double>(count * picture_bytes(config)),
                     expected = likelihood.bits_per_dim() * values;
        for (const std::int64_t lanes : {1, 4}) {
            const double bits = bits_of(FractalCodec(*model, lanes).encode(pictures));
            // At most 0.0057 bits a value for rare values, and four bytes a lane.
            CHECK(bits > expected - 1);
            CHECK(bits < expected + 0.006 * values + 32 * static_cast<double>(lanes) + 1);
        }
    }
}

TEST_CASE("codec: a picture's code is the same beside other pictures") {
    const auto model = random_model(ar_configs[0]);
    const Bytes pictures = random_pictures(ar_configs[0], 4);
    const auto one = static_cast<std::size_t>(picture_bytes(ar_configs[0]));
    const FractalCodec::Codes together = FractalCodec(*model, 4).encode(pictures);
    FractalCodec alone(*model, 1);
    for (std::size_t i = 0; i < 4; ++i)
        CHECK(alone.encode(std::span(pictures).subspan(i * one, one)).front() == together[i]);
}

TEST_CASE("codec: fewer pictures than lanes") {
    const auto model = random_model(ar_configs[0]);
    const Bytes pictures = random_pictures(ar_configs[0], 2);
    FractalCodec codec(*model, 5);
    const FractalCodec::Codes codes = codec.encode(pictures);
    CHECK(codes.size() == 2);
    CHECK(decode(codec, codes, 2).pictures == pictures);
}

TEST_CASE("codec: damaged, longer and cut codes are not complete, or give other pictures") {
    const auto model = random_model(ar_configs[1]);
    const Bytes pictures = random_pictures(ar_configs[1], 3);
    FractalCodec codec(*model, 2);
    const FractalCodec::Codes codes = codec.encode(pictures);
    const auto is_noticed = [&](const FractalCodec::Codes& damaged) {
        const FractalCodec::Decoded decoded = decode(codec, damaged, 3);
        return !decoded.complete;
    };
    for (std::size_t i = 0; i < codes[0].size(); i += 3) {
        FractalCodec::Codes damaged = codes;
        damaged[0][i] ^= 0x10;
        if (i > 0) CHECK(is_noticed(damaged));
    }
    FractalCodec::Codes longer = codes, cut = codes, headless = codes, too_low = codes;
    longer[1].push_back(0);
    cut[1].resize(cut[1].size() / 2);
    CHECK(is_noticed(longer));
    CHECK(is_noticed(cut));
    headless[1].resize(3);
    too_low[0][0] = 0;
    CHECK_THROWS_WITH_AS(decode(codec, headless, 3), doctest::Contains("lane 1"), Error);
    CHECK_THROWS_WITH_AS(decode(codec, too_low, 3), doctest::Contains("lane 0"), Error);
}

TEST_CASE("codec: other weights have another probe and give other pictures") {
    const auto model = random_model(ar_configs[0]), other = random_model(ar_configs[0]);
    Parameter& first = other->parameters().find("generator.patch_emb.weight");
    first.value[0] += 0.01f;
    const Bytes pictures = random_pictures(ar_configs[0], 1);
    FractalCodec codec(*model, 1), wrong(*other, 1);
    CHECK(codec.probe() == FractalCodec(*model, 3).probe());
    CHECK(codec.probe() != wrong.probe());
    const FractalCodec::Decoded decoded = decode(wrong, codec.encode(pictures), 1);
    CHECK(decoded.pictures != pictures);
    CHECK_FALSE(decoded.complete);
}

TEST_CASE("codec: models with a MAR level and models of codes are refused") {
    CHECK_NOTHROW(require_codable(ar_configs[3]));
    for (const FractalConfig& config : mar_configs)
        CHECK_THROWS_WITH_AS(require_codable(config), doctest::Contains("MAR level"), UsageError);
    CHECK_THROWS_WITH_AS(require_codable(of_codes(ar_configs[0], 7)),
                         doctest::Contains("a vocabulary of 7: expected a model of pixels"), UsageError);
}

TEST_CASE("codec: progress grows to all of the pictures") {
    const auto model = random_model(ar_configs[0]);
    FractalCodec codec(*model, 2);
    std::vector<double> shares;
    codec.watch([&](double share) { shares.push_back(share); });
    codec.encode(random_pictures(ar_configs[0], 5));
    CHECK(std::ranges::is_sorted(shares));
    CHECK(shares.front() >= 0);
    CHECK(shares.back() == doctest::Approx(1));
    const std::size_t steps = shares.size();
    codec.probe();
    CHECK(shares.size() == steps);
}
