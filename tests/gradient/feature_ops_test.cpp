// The operations on feature maps (runtime/feature_ops.h) against central differences.
#include "runtime/feature_ops.h"

#include "tests/gradient/gradient_check.h"
#include "tests/test_devices.h"

using namespace gradient_check;

GRADIENT_TEST("gradient: groupnorm") {
    for (const Activation activation : {Activation::none, Activation::swish}) {
        CAPTURE(static_cast<int>(activation));
        Parameters parameters;
        const Parameter &weight = parameters.add("weight", {6}, Init::normal),
                        &bias = parameters.add("bias", {6}, Init::normal);
        parameters.allocate(device, true);
        parameters.initialize(5);
        Check(device, {{2 * 4, 6, 1}}, &parameters, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return groupnorm(tape, in[0], 4, weight, bias, 3, 1e-6f, activation);
              }))
            .run();
    }
}
