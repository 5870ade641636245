// How a level reads its patches, of pixels and of codes, against central differences.
#include "models/fractal/patch_embedding.h"

#include "tests/gradient/gradient_check.h"

using namespace gradient_check;

namespace {

// Patches of 2 x 2.
FractalConfig config_of(std::int64_t channels, std::int64_t vocabulary) {
    return {{4, 2, 1}, {8, 6, 4}, {1, 1, 1}, {1, 1, 1}, {"ar", "ar", "ar"},
            1,         false,     0,         channels,  vocabulary};
}

}  // namespace

GRADIENT_TEST("gradient: patches of codes, the same code several times in them") {
    const FractalConfig config = config_of(1, 5);
    Parameters parameters;
    const PatchEmbedding patch_embedding(parameters, "level", config, 0);
    CHECK(parameters.all().front().name == "level.code_emb.weight");
    parameters.allocate(device, true);
    std::vector<float> values(parameters.slab_floats());
    random_normal(values.data(), static_cast<std::int64_t>(values.size()), random_key(5, "values"), 1);
    copy_to_device(device, parameters.values(), values.data(), values.size() * sizeof(float));
    const std::vector<float> codes = {0, 4, 4, 2, 1, 1, 1, 1, 3, 0, 2, 4};
    Check(device, {}, &parameters, weighted_sum([&](Tape& tape, std::span<const Tensor>) {
              const Tensor patches = tape.create(3, 4, false);
              copy_to_tensor(tape, patches, codes.data(), codes.size() * sizeof(float));
              const Tensor y = patch_embedding.forward(tape, patches);
              CHECK(y.rows() == 3);
              CHECK(y.width() == 8);
              return y;
          }))
        .run();
}

GRADIENT_TEST("gradient: patches of pixels") {
    const FractalConfig config = config_of(3, 0);
    Parameters parameters;
    const PatchEmbedding patch_embedding(parameters, "level", config, 0);
    parameters.allocate(device, true);
    parameters.initialize(3);
    const Input pixels(3, 12, 1);
    Check(device, {}, &parameters, weighted_sum([&](Tape& tape, std::span<const Tensor>) {
              const Tensor patches = tape.create(3, 12, false);
              copy_to_tensor(tape, patches, pixels.values.data(), pixels.values.size() * sizeof(float));
              return patch_embedding.forward(tape, patches);
          }))
        .run();
}
