// Feature maps of an image tokenizer: convolutions, bound by arithmetic, and the operations between them,
// bound by memory.
#include <fmt/format.h>

#include "kernels/conv/bilinear.h"
#include "kernels/conv/max_pool.h"
#include "kernels/conv/position_mean.h"
#include "kernels/conv/window_pool.h"
#include "kernels/pointwise/leaky_relu.h"
#include "runtime/device/launch.h"
#include "tests/bench/costs.h"

namespace {

std::string text_of(const Conv2dShape& s) {
    return fmt::format("{} x {} x {}, {} -> {}, {}x{}{}", s.batch, s.height, s.width, s.C, s.N,
                       s.kernel_height, s.kernel_width, s.stride == 1 ? "" : fmt::format(" / {}", s.stride));
}

void add_conv2d(KernelList& list, const Conv2dShape& shape) {
    const std::int64_t x_count = shape.rows() * shape.C, y_count = shape.out_rows() * shape.N,
                       weights = shape.weights();
    const double a = list.activation_bytes();
    const Cost cost = conv2d_cost(shape, a, list.weight_bytes());
    list.add("conv2d_forward", text_of(shape), Bound::arithmetic, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(y_count), x = in.activations(x_count),
                             bias = in.activations(shape.N);
        const WeightPointer weight = in.kernel_weight(weights);
        float* workspace = in.floats(SIZE_ON(on.device, conv2d_forward_workspace, shape));
        return [=] {
            LAUNCH_ON(on.device, on.stream, conv2d_forward, y, workspace, x, weight, bias, false, shape);
        };
    });
    list.add("conv2d_backward_input", text_of(shape), Bound::arithmetic, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(x_count), dy = in.activations(y_count);
        const WeightPointer weight = in.kernel_weight(weights);
        float* workspace = in.floats(SIZE_ON(on.device, conv2d_backward_input_workspace, shape));
        return
            [=] { LAUNCH_ON(on.device, on.stream, conv2d_backward_input, dx, workspace, dy, weight, shape); };
    });
    const Cost weight_cost = conv2d_cost(shape, a, 4);
    list.add("conv2d_backward_weight", text_of(shape), Bound::arithmetic, weight_cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ProductSum d_weight = in.product_sum(weights);
        float *d_bias = in.floats(shape.N),
              *workspace = in.floats(SIZE_ON(on.device, conv2d_backward_weight_workspace, shape));
        const ElementPointer dy = in.activations(y_count), x = in.activations(x_count);
        return [=] {
            LAUNCH_ON(on.device, on.stream, conv2d_backward_weight, d_weight, d_bias, workspace, dy, x,
                      shape);
        };
    });
}

// With swish, as a residual block has it.
void add_groupnorm(KernelList& list, const GroupNormShape& shape) {
    constexpr float epsilon = 1e-6f;
    const auto [images, positions, channels, groups] = shape;
    const std::string text = fmt::format("{} x {} x {}, swish", images, positions, channels);
    const std::int64_t total = shape.elements(), statistics = images * groups, width = channels;
    const double count = static_cast<double>(total), a = list.activation_bytes();
    list.add("groupnorm_forward", text, Bound::memory, {3 * a * count, 9 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(total), x = in.activations(total);
        float *mean = in.floats(statistics), *rstd = in.floats(statistics), *weight = in.floats(width),
              *bias = in.floats(width),
              *workspace = in.floats(SIZE_ON(on.device, groupnorm_forward_workspace, shape));
        return [=] {
            LAUNCH_ON(on.device, on.stream, groupnorm_forward, y, mean, rstd, workspace, x, weight, bias,
                      shape, epsilon, Activation::swish);
        };
    });
    list.add("groupnorm_backward", text, Bound::memory, {5 * a * count, 25 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(total), dy = in.activations(total),
                             x = in.activations(total);
        float *mean = in.floats(statistics), *rstd = in.uniforms(statistics), *weight = in.floats(width),
              *bias = in.floats(width), *dweight = in.floats(width), *dbias = in.floats(width),
              *workspace = in.floats(SIZE_ON(on.device, groupnorm_backward_workspace, shape));
        return [=] {
            LAUNCH_ON(on.device, on.stream, groupnorm_backward, dx, dweight, dbias, workspace, dy, x, weight,
                      bias, mean, rstd, shape, Activation::swish);
        };
    });
}

void add_resample(KernelList& list) {
    const ResampleShape shape = list.shapes().resample;
    const std::int64_t small = shape.B * shape.H * shape.W * shape.C, large = 4 * small;
    const std::string text = fmt::format("{} x {} x {} x {}", shape.B, shape.H, shape.W, shape.C);
    const double count = static_cast<double>(small), bytes = 5 * list.activation_bytes() * count;
    list.add("average_pool_forward", text, Bound::memory, {bytes, 4 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(small), x = in.activations(large);
        return [=] { LAUNCH_ON(on.device, on.stream, average_pool_forward, y, x, shape); };
    });
    list.add("average_pool_backward", text, Bound::memory, {bytes, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(large), dy = in.activations(small);
        return [=] { LAUNCH_ON(on.device, on.stream, average_pool_backward, dx, dy, shape); };
    });
    list.add("upsample_forward", text, Bound::memory, {bytes, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(large), x = in.activations(small);
        return [=] { LAUNCH_ON(on.device, on.stream, upsample_forward, y, x, shape); };
    });
    list.add("upsample_backward", text, Bound::memory, {bytes, 3 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(small), dy = in.activations(large);
        return [=] { LAUNCH_ON(on.device, on.stream, upsample_backward, dx, dy, shape); };
    });
}

// Of the perceptual loss's network, down to maps as large as the tokenizer's.
void add_max_pool(KernelList& list) {
    const ResampleShape small = list.shapes().resample;
    const MaxPoolShape shape{small.B, 2 * small.H, 2 * small.W, small.C};
    const std::int64_t out = small.B * small.H * small.W * small.C, in_count = 4 * out;
    const std::string text = fmt::format("{} x {} x {} x {}", shape.B, shape.H, shape.W, shape.C);
    const double count = static_cast<double>(out), a = list.activation_bytes();
    list.add("max_pool_forward", text, Bound::memory, {5 * a * count, 3 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(out), x = in.activations(in_count);
        return [=] { LAUNCH_ON(on.device, on.stream, max_pool_forward, y, x, shape); };
    });
    list.add("max_pool_backward", text, Bound::memory, {9 * a * count, 3 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(in_count), dy = in.activations(out),
                             x = in.activations(in_count);
        return [=] { LAUNCH_ON(on.device, on.stream, max_pool_backward, dx, dy, x, shape); };
    });
}

// Of Inception-v3, on the larger of the resampled maps: windows of 3 x 3, pictures made half as large again.
void add_inception(KernelList& list) {
    const ResampleShape small = list.shapes().resample;
    const WindowPoolShape pool{small.B, 2 * small.H, 2 * small.W, small.C, 3, 2, 0};
    const std::int64_t in_count = pool.B * pool.H * pool.W * pool.C, out = pool.out_rows() * pool.C,
                       positions = pool.H * pool.W, means = pool.B * pool.C;
    const std::string text = fmt::format("{} x {} x {} x {}", pool.B, pool.H, pool.W, pool.C);
    const double a = list.activation_bytes(), large = static_cast<double>(in_count),
                 moved = a * (large + static_cast<double>(out)), operations = 9 * static_cast<double>(out);
    list.add("window_max", text, Bound::memory, {moved, operations}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(out), x = in.activations(in_count);
        return [=] { LAUNCH_ON(on.device, on.stream, window_max, y, x, pool); };
    });
    list.add("window_mean", text, Bound::memory, {moved, operations}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(out), x = in.activations(in_count);
        return [=] { LAUNCH_ON(on.device, on.stream, window_mean, y, x, pool); };
    });
    const double mean_bytes = a * (large + static_cast<double>(means));
    list.add("position_mean_forward", text, Bound::memory, {mean_bytes, large}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(means), x = in.activations(in_count);
        return
            [=] { LAUNCH_ON(on.device, on.stream, position_mean_forward, y, x, pool.B, positions, pool.C); };
    });
    list.add("position_mean_backward", text, Bound::memory, {mean_bytes, large}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(in_count), dy = in.activations(means);
        return [=] {
            LAUNCH_ON(on.device, on.stream, position_mean_backward, dx, dy, pool.B, positions, pool.C);
        };
    });
    const BilinearShape resized{
        small.B, 3, pool.H, pool.W, 3 * small.H, 3 * small.W, PixelCentres::half_pixel, 1 / 127.5f, -1};
    const std::int64_t bytes = small.B * 3 * positions,
                       pixels = small.B * 3 * resized.out_height * resized.out_width;
    list.add("bilinear_resize",
             fmt::format("{} x 3, {} x {} -> {} x {}", small.B, pool.H, pool.W, resized.out_height,
                         resized.out_width),
             Bound::memory,
             {static_cast<double>(bytes) + a * static_cast<double>(pixels), 9 * static_cast<double>(pixels)},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer y = in.activations(pixels);
                 const std::uint8_t* x = in.bytes(bytes, 100);
                 return [=] { LAUNCH_ON(on.device, on.stream, bilinear_resize, y, x, resized); };
             });
}

// Of the discriminator, as large as the first normalised map.
void add_leaky_relu(KernelList& list) {
    constexpr float slope = 0.2f;
    const std::int64_t total = list.shapes().groupnorm.front().elements();
    const double count = static_cast<double>(total), a = list.activation_bytes();
    list.add("leaky_relu_forward", fmt::format("{}", total), Bound::memory, {2 * a * count, count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer y = in.activations(total), x = in.activations(total);
                 return [=] { LAUNCH_ON(on.device, on.stream, leaky_relu_forward, y, x, slope, total); };
             });
    list.add("leaky_relu_backward", fmt::format("{}", total), Bound::memory, {3 * a * count, count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer dx = in.activations(total), dy = in.activations(total),
                                      y = in.activations(total);
                 return
                     [=] { LAUNCH_ON(on.device, on.stream, leaky_relu_backward, dx, dy, y, slope, total); };
             });
}

}  // namespace

void add_feature_maps(KernelList& list) {
    for (const Conv2dShape& shape : list.shapes().conv2d) add_conv2d(list, shape);
    for (const GroupNormShape& shape : list.shapes().groupnorm) add_groupnorm(list, shape);
    add_resample(list);
    add_max_pool(list);
    add_inception(list);
    add_leaky_relu(list);
}
