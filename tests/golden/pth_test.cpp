// Checkpoints that torch wrote: one against the same weights as safetensors, one with an optimizer's state.
#include "runtime/files/pth/pth.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "runtime/files/safetensors.h"
#include "tests/golden/golden_file.h"

namespace {

const std::string name = "fractalar_two_level_tiny";

}  // namespace

TEST_CASE("golden: a published checkpoint's tensors are the weights bit for bit") {
    const GoldenFile published_file(name + ".pth"), expected_file(name + ".weights.safetensors");
    const PthFile published(published_file.path());
    const SafetensorsFile expected(expected_file.path());
    CHECK(published.names() == expected.names());
    for (const std::string& tensor : expected.names()) {
        CAPTURE(tensor);
        REQUIRE(published.shape(tensor) == expected.shape(tensor));
        const auto bytes = expected.bytes(tensor);
        std::vector<float> values(bytes.size() / sizeof(float));
        published.read(tensor, values.data());
        CHECK(std::memcmp(values.data(), bytes.data(), bytes.size()) == 0);
    }
    CHECK(published.metadata("epoch") == "3");
    CHECK(published.metadata("args.model") == name);
}

// That its tensors are the weights, its golden's losses show.
TEST_CASE("golden: beside an optimizer's state, a published checkpoint's tensors are the weights alone") {
    const GoldenFile file("fractalmar_tiny.pth");
    const PthFile published(file.path());
    CHECK(published.entries().size() == 106);
    CHECK(published.metadata("epoch") == "3");
    CHECK(published.metadata("args.model") == "fractalmar_tiny");
}
