// What a loss says of its progress while it runs.
#include <doctest/doctest.h>

#include <vector>

#include "models/fractal/masks.h"
#include "tests/unit/models/fractal/random_fractal.h"

using namespace random_fractal;

TEST_CASE("fractal progress: the share that is done grows from 0 with the chunks of every level") {
    for (const FractalConfig& config : configs) {
        const auto model = random_model(config);
        const std::int64_t B = 3;
        const HostImages images = random_images(config, B, 1);
        const std::vector<std::int64_t> samples{0, 1, 2};
        const FractalMasks masks = training_masks(config, samples, 1, 0);
        const std::vector<std::int32_t> ids(static_cast<std::size_t>(B));
        const std::vector<float> scales((config.generators() + 1) * static_cast<std::size_t>(config.channels),
                                        1.0f);
        ChunkSizes chunks(config.img_size_list.size(), 2);
        std::vector<double> shares;
        Tape tape(Device::cpu);
        tape.set_recording(true);
        const auto job = [&] {
            const Tensor totals = tape.create(static_cast<std::int64_t>(config.generators()) + 1,
                                              config.channels, false, Element::f64);
            const std::vector<double> zeros(scales.size());
            copy_to_tensor(tape, totals, zeros.data(), zeros.size() * sizeof(double));
            model->loss(tape, device_images(tape, config, images.view(), B), ids, masks, scales, totals, {},
                        chunks, nullptr, [&](double share) { shares.push_back(share); });
        };
        const Plan plan = plan_job(tape, job);
        CHECK(shares.empty());
        run_job(tape, plan, job);
        REQUIRE(shares.size() > 4);
        CHECK(shares.front() == 0);
        CHECK(std::ranges::is_sorted(shares));
        CHECK(shares.back() > 0.75);  // the last chunks, of the innermost level
        CHECK(shares.back() < 1);
    }
}
