// Measures of quality of small random features against figures of the published implementations.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "models/metrics/frechet.h"
#include "models/metrics/inception_score.h"
#include "models/metrics/kernel_distance.h"
#include "models/metrics/precision_recall.h"
#include "runtime/files/safetensors.h"
#include "tests/golden/golden_file.h"

namespace {

std::vector<double> doubles(const SafetensorsFile& file, const std::string& name) {
    REQUIRE(file.entry(name).dtype == "F64");
    const auto bytes = file.bytes(name);
    std::vector<double> values(bytes.size() / sizeof(double));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

// F32 or F64, which is rounded to fp32.
FeatureMatrix features(const SafetensorsFile& file, const std::string& name) {
    FeatureMatrix result{file.shape(name)[1], {}};
    if (file.entry(name).dtype == "F64") {
        const auto values = doubles(file, name);
        result.values.assign(values.begin(), values.end());
    } else {
        const auto values = file.floats(name);
        result.values.assign(values.begin(), values.end());
    }
    return result;
}

double frechet_distance(const FeatureMatrix& generated, const FeatureMatrix& reference) {
    return FrechetReference(moments(reference)).distance(moments(generated));
}

// "np.float64(0.5)" or "0.5".
double number(const std::string& text) {
    return std::stod(text.substr(text.find('(') == std::string::npos ? 0 : text.find('(') + 1));
}

}  // namespace

TEST_CASE("golden: FID, Inception score, precision and recall") {
    const SafetensorsFile file(GoldenFile("metrics.safetensors").path());
    const FeatureMatrix generated = features(file, "features.generated"),
                        reference = features(file, "features.reference");
    CHECK(frechet_distance(generated, reference) == doctest::Approx(doubles(file, "fid")[0]).epsilon(1e-7));

    const auto score = inception_score(features(file, "logits"));
    const auto expected = doubles(file, "inception_score.mean_std");
    CHECK(score.mean == doctest::Approx(expected[0]).epsilon(1e-7));
    CHECK(score.deviation == doctest::Approx(expected[1]).epsilon(1e-7));

    const auto [precision, recall] = precision_recall(generated, reference);
    CHECK(precision == doctest::Approx(doubles(file, "precision_recall.k3")[0]).epsilon(1e-12));
    CHECK(recall == doctest::Approx(doubles(file, "precision_recall.k3")[1]).epsilon(1e-12));
}

TEST_CASE("golden: KID, and FID of the same features") {
    const SafetensorsFile file(GoldenFile("kernel_distance.safetensors").path());
    const FeatureMatrix generated = features(file, "generated"), reference = features(file, "reference");
    CHECK(frechet_distance(generated, reference) ==
          doctest::Approx(number(file.metadata("fid"))).epsilon(1e-7));
    CHECK(kernel_distance(generated, reference, 0).value ==
          doctest::Approx(number(file.metadata("kid_unbiased_all"))).epsilon(1e-7));
}
