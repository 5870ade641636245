// The losses that train an image tokenizer, and the weight that balances two of them: bound by memory.
#include <fmt/format.h>

#include "kernels/loss/adaptive_weight.h"
#include "kernels/loss/adversarial_loss.h"
#include "kernels/loss/feature_distance.h"
#include "kernels/loss/l1_loss.h"
#include "runtime/device/launch.h"
#include "tests/bench/kernels.h"

namespace {

// With as many values as the last feature map: more than a batch's pixels, so that it is bound by memory.
void add_l1_loss(KernelList& list, std::int64_t total, const std::string& shape) {
    const double count = static_cast<double>(total), a = list.activation_bytes();
    list.add("l1_loss_accumulate", shape, Bound::memory, {(4 + a) * count, 2 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        double *sum = in.doubles(1), *workspace = in.doubles(SIZE_ON(on.device, l1_loss_workspace));
        const ElementPointer x = in.activations(total);
        float* target = in.floats(total);
        return [=] { LAUNCH_ON(on.device, on.stream, l1_loss_accumulate, sum, workspace, x, target, total); };
    });
    list.add("l1_loss_backward", shape, Bound::memory, {(4 + 2 * a) * count, 2 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(total), x = in.activations(total);
        float* target = in.floats(total);
        return [=] { LAUNCH_ON(on.device, on.stream, l1_loss_backward, dx, x, target, 0.5f, total); };
    });
}

// Of the perceptual loss: two maps, a vector of channels at each position.
void add_feature_distance(KernelList& list) {
    const ResampleShape maps = list.shapes().resample;
    const std::int64_t rows = 4 * maps.B * maps.H * maps.W, width = maps.C, total = rows * width;
    const std::string shape = fmt::format("{} x {}", rows, width);
    const double count = static_cast<double>(total), bytes = list.activation_bytes();
    list.add("feature_distance_accumulate", shape, Bound::memory, {2 * bytes * count, 10 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 double *sum = in.doubles(1),
                        *workspace = in.doubles(SIZE_ON(on.device, feature_distance_workspace));
                 const ElementPointer a = in.activations(total), b = in.activations(total);
                 float* weight = in.uniforms(width);
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, feature_distance_accumulate, sum, workspace, a, b,
                               weight, 1.0, rows, width);
                 };
             });
    list.add("feature_distance_backward", shape, Bound::memory, {3 * bytes * count, 20 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer da = in.activations(total), a = in.activations(total),
                                      b = in.activations(total);
                 float* weight = in.uniforms(width);
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, feature_distance_backward, da, a, b, weight, 0.5f, rows,
                               width);
                 };
             });
}

void add_adversarial_loss(KernelList& list, std::int64_t total, const std::string& shape) {
    constexpr AdversarialTerm term = AdversarialTerm::real;
    const double count = static_cast<double>(total), a = list.activation_bytes();
    list.add("adversarial_loss_accumulate", shape, Bound::memory, {a * count, 3 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        double *sum = in.doubles(1), *workspace = in.doubles(SIZE_ON(on.device, adversarial_loss_workspace));
        const ElementPointer logits = in.activations(total);
        return [=] {
            LAUNCH_ON(on.device, on.stream, adversarial_loss_accumulate, sum, workspace, logits, term, total);
        };
    });
    list.add("adversarial_loss_backward", shape, Bound::memory, {2 * a * count, 2 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer d_logits = in.activations(total), logits = in.activations(total);
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, adversarial_loss_backward, d_logits, logits, term, 0.5f,
                               total);
                 };
             });
}

void add_weights(KernelList& list, std::int64_t total, const std::string& shape) {
    list.add("adaptive_weight", "1", Bound::memory, {20, 5}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float* weight = in.floats(1);
        double* norms = in.doubles(2);
        return [=] { LAUNCH_ON(on.device, on.stream, adaptive_weight, weight, norms, 0.8f); };
    });
    const double count = static_cast<double>(total), a = list.activation_bytes();
    list.add("add_weighted", shape, Bound::memory, {3 * a * count, 2 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(total), x = in.activations(total);
        float* weight = in.floats(1);
        return [=] { LAUNCH_ON(on.device, on.stream, add_weighted, y, x, weight, total); };
    });
}

}  // namespace

void add_tokenizer_losses(KernelList& list) {
    const std::int64_t total = list.shapes().groupnorm.front().elements();
    const std::string shape = fmt::format("{}", total);
    add_l1_loss(list, total, shape);
    add_feature_distance(list);
    add_adversarial_loss(list, total, shape);
    add_weights(list, total, shape);
}
