#include "runtime/ops/feature_ops.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/conv/max_pool.h"
#include "kernels/conv/position_mean.h"
#include "kernels/conv/resample.h"
#include "kernels/conv/window_pool.h"
#include "kernels/layout/gather.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/tape_launch.h"

Tensor groupnorm(Tape& tape, const Tensor& x, std::int64_t positions, const Parameter& weight,
                 const Parameter& bias, std::int64_t groups, float epsilon, Activation activation) {
    const std::int64_t C = x.width();
    require(positions > 0 && x.rows() % positions == 0, "groupnorm: x is not of whole maps");
    require(C % groups == 0 && weight.count == C && bias.count == C,
            "groupnorm: its groups, weight or bias do not fit the channels");
    const GroupNormShape shape{x.rows() / positions, positions, C, groups};
    const Tensor y = tape.create(x.rows(), C, true, tape.element(x.node())),
                 mean = tape.create(shape.images, groups, false),
                 rstd = tape.create(shape.images, groups, false);
    {
        const Tensor workspace = scratch(tape, SIZE_ON(tape.device(), groupnorm_forward_workspace, shape));
        LAUNCH(tape, groupnorm_forward, tape.mutable_data(y), tape.mutable_value(mean),
               tape.mutable_value(rstd), tape.mutable_value(workspace), tape.data(x), weight.value,
               bias.value, shape, epsilon, activation);
    }
    tape.on_backward(y, {x.node()}, {x.node(), mean.node(), rstd.node()},
                     [&tape, x = x.node(), y = y.node(), mean = mean.node(), rstd = rstd.node(),
                      weight = &weight, bias = &bias, shape, activation] {
                         write_gradient(tape, x, [&](auto target) {
                             const Tensor workspace =
                                 scratch(tape, SIZE_ON(tape.device(), groupnorm_backward_workspace, shape));
                             LAUNCH(tape, groupnorm_backward, target(), weight->gradient, bias->gradient,
                                    tape.mutable_value(workspace), tape.gradient_data(y), tape.data(x),
                                    weight->value, bias->value, tape.value(mean), tape.value(rstd), shape,
                                    activation);
                         });
                     });
    return y;
}

Tensor average_pool(Tape& tape, const Tensor& x, MapSize size) {
    require(size.height % 2 == 0 && size.width % 2 == 0 && x.rows() % (size.height * size.width) == 0,
            "average_pool: x is not of maps of an even size");
    const ResampleShape shape{x.rows() / (size.height * size.width), size.height / 2, size.width / 2,
                              x.width()};
    const Tensor y = tape.create(x.rows() / 4, x.width(), true, tape.element(x.node()));
    LAUNCH(tape, average_pool_forward, tape.mutable_data(y), tape.data(x), shape);
    tape.on_backward(y, {x.node()}, {}, [&tape, x = x.node(), y = y.node(), shape] {
        write_gradient(tape, x, [&](auto target) {
            LAUNCH(tape, average_pool_backward, target(), tape.gradient_data(y), shape);
        });
    });
    return y;
}

Tensor max_pool(Tape& tape, const Tensor& x, MapSize size) {
    require(size.height >= 2 && size.width >= 2 && x.rows() % (size.height * size.width) == 0,
            "max_pool: x is not of maps of 2 x 2 or larger");
    const MaxPoolShape shape{x.rows() / (size.height * size.width), size.height, size.width, x.width()};
    const Tensor y = tape.create(shape.B * shape.out_height() * shape.out_width(), x.width(), true,
                                 tape.element(x.node()));
    LAUNCH(tape, max_pool_forward, tape.mutable_data(y), tape.data(x), shape);
    tape.on_backward(y, {x.node()}, {x.node()}, [&tape, x = x.node(), y = y.node(), shape] {
        write_gradient(tape, x, [&](auto target) {
            LAUNCH(tape, max_pool_backward, target(), tape.gradient_data(y), tape.data(x), shape);
        });
    });
    return y;
}

namespace {

WindowPoolShape window_shape(const Tensor& x, MapSize size, std::int64_t window, std::int64_t stride,
                             std::int64_t padding) {
    const std::int64_t positions = size.height * size.width;
    require(positions > 0 && x.rows() % positions == 0, "window pooling: x is not of whole maps");
    require(stride > 0 && padding >= 0 && padding < window &&
                std::min(size.height, size.width) + 2 * padding >= window,
            "window pooling: the window does not fit the map");
    return {x.rows() / positions, size.height, size.width, x.width(), window, stride, padding};
}

}  // namespace

Tensor window_max(Tape& tape, const Tensor& x, MapSize size, std::int64_t window, std::int64_t stride,
                  std::int64_t padding) {
    const WindowPoolShape shape = window_shape(x, size, window, stride, padding);
    const Tensor y = tape.create(shape.out_rows(), x.width(), false, tape.element(x.node()));
    LAUNCH(tape, window_max, tape.mutable_data(y), tape.data(x), shape);
    return y;
}

Tensor window_mean(Tape& tape, const Tensor& x, MapSize size, std::int64_t window, std::int64_t stride,
                   std::int64_t padding) {
    const WindowPoolShape shape = window_shape(x, size, window, stride, padding);
    const Tensor y = tape.create(shape.out_rows(), x.width(), false, tape.element(x.node()));
    LAUNCH(tape, window_mean, tape.mutable_data(y), tape.data(x), shape);
    return y;
}

Tensor position_mean(Tape& tape, const Tensor& x, std::int64_t positions) {
    require(positions > 0 && x.rows() % positions == 0, "position_mean: x is not of whole maps");
    const std::int64_t B = x.rows() / positions, C = x.width();
    const Tensor y = tape.create(B, C, true, tape.element(x.node()));
    LAUNCH(tape, position_mean_forward, tape.mutable_data(y), tape.data(x), B, positions, C);
    tape.on_backward(y, {x.node()}, {}, [&tape, x = x.node(), y = y.node(), B, positions, C] {
        write_gradient(tape, x, [&](auto target) {
            LAUNCH(tape, position_mean_backward, target(), tape.gradient_data(y), B, positions, C);
        });
    });
    return y;
}

Tensor concatenate_channels(Tape& tape, std::span<const Tensor> maps) {
    require(!maps.empty(), "concatenate_channels: no maps");
    std::int64_t width = 0;
    for (const Tensor& map : maps) {
        require(map.rows() == maps[0].rows() && tape.element(map.node()) == tape.element(maps[0].node()),
                "concatenate_channels: maps of different sizes or types");
        width += map.width();
    }
    const Tensor y = tape.create(maps[0].rows(), width, false, tape.element(maps[0].node()));
    std::int64_t first = 0;
    for (const Tensor& map : maps) {
        LAUNCH(tape, copy_rows, tape.mutable_data(y) + first, width, tape.data(map), map.width(), map.rows(),
               map.width());
        first += map.width();
    }
    return y;
}

Tensor upsample_nearest(Tape& tape, const Tensor& x, MapSize size) {
    require(x.rows() % (size.height * size.width) == 0, "upsample_nearest: x is not of whole maps");
    const ResampleShape shape{x.rows() / (size.height * size.width), size.height, size.width, x.width()};
    const Tensor y = tape.create(x.rows() * 4, x.width(), true, tape.element(x.node()));
    LAUNCH(tape, upsample_forward, tape.mutable_data(y), tape.data(x), shape);
    tape.on_backward(y, {x.node()}, {}, [&tape, x = x.node(), y = y.node(), shape] {
        write_gradient(tape, x, [&](auto target) {
            LAUNCH(tape, upsample_backward, target(), tape.gradient_data(y), shape);
        });
    });
    return y;
}

Tensor add_maps(Tape& tape, const Tensor& a, const Tensor& b) {
    require(a.rows() == b.rows() && a.width() == b.width(), "add_maps: maps of different sizes");
    const Tensor y = tape.create(a.rows(), a.width(), true, tape.element(a.node()));
    LAUNCH(tape, residual_forward, tape.mutable_data(y), tape.data(a), tape.data(b), tape.elements(y.node()));
    tape.on_backward(y, {a.node(), b.node()}, {}, [&tape, a = a.node(), b = b.node(), y = y.node()] {
        pass_gradient(tape, a, y);
        pass_gradient(tape, b, y);
    });
    return y;
}
