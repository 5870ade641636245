// Checkpoints that torch wrote, against the same weights as safetensors.
#include "runtime/files/pth/pth.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "runtime/files/safetensors.h"

namespace {

void compare(const std::string& name) {
    const PthFile published("tests/golden/" + name + ".pth");
    const SafetensorsFile expected("tests/golden/" + name + ".weights.safetensors");
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

}  // namespace

TEST_CASE("golden: a published checkpoint's tensors are the weights bit for bit") {
    compare("fractalar_tiny");
}

TEST_CASE("golden: so are those beside an optimizer's state") {
    compare("fractalmar_tiny");
    CHECK(PthFile("tests/golden/fractalmar_tiny.pth").entries().size() == 106);
}
