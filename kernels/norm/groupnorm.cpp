// A group is a few neighbouring channels of every position, so sums over it would have strided accesses.
// Instead each channel is summed separately, whole rows by vectors, and the channels of a group are combined
// at the end, in double: C numbers against the P C that were read.
//
// An image is cut into slices of positions whose number follows from the shape alone; each slice has its own
// part of the workspace. It first holds the slice's sums and then, for the pass that writes the result,
// per-channel coefficients, so that the channel is that loop's only index.
#include "kernels/norm/groupnorm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/common/partition.h"
#include "kernels/common/simd.h"

namespace cpu {
namespace {

struct Identity {
    static float value(float u) { return u; }
    static float slope(float) { return 1.0f; }
};
struct Swish {
    static float value(float u) { return u / (1.0f + fast_exp(-u)); }
    static float slope(float u) {
        const float s = 1.0f / (1.0f + fast_exp(-u));
        return s * (1.0f + u * (1.0f - s));
    }
};
struct LeakyRelu {
    static float value(float u) { return u < 0 ? 0.2f * u : u; }
    static float slope(float u) { return u < 0 ? 0.2f : 1.0f; }
};

template <class Body>
void with_activation(Activation activation, Body body) {
    if (activation == Activation::swish) return body(Swish());
    if (activation == Activation::leaky_relu) return body(LeakyRelu());
    body(Identity());
}

constexpr std::int64_t channel_block = 32;

// Slices per image: 64 KiB of x in each, which the second pass still finds in the cache.
std::int64_t slices_of(const GroupNormShape& shape) {
    constexpr std::int64_t slice_elements = 16384, most = 64;
    return std::clamp(shape.positions * shape.channels / slice_elements, std::int64_t{1},
                      std::min(most, std::max(shape.positions, std::int64_t{1})));
}

// One slice of one image.
struct Part {
    std::int64_t image, first, begin, end;  // `first`: the image's first position; the slice's range
};

// Calls body(part, its workspace of `size` floats) for every slice of every image.
template <class Body>
void for_each_slice(const GroupNormShape& shape, float* workspace, std::int64_t size, Body body) {
    const std::int64_t slices = slices_of(shape);
    for_each_task(shape.images * slices, shape.elements(), [=](std::int64_t task) {
        const std::int64_t image = task / slices, first = image * shape.positions;
        const auto [begin, end] = row_slice(shape.positions, slices, task % slices);
        body(Part{image, first, first + begin, first + end}, workspace + task * size);
    });
}

// sums_c += x_c - shift_c, squares_c += (x_c - shift_c)^2 over four rows at once, so that the sums are loaded
// and stored a quarter as often.
void add_four_rows(float* sums, float* squares, const float* x, const float* shift, std::int64_t C) {
    const float *x1 = x + C, *x2 = x1 + C, *x3 = x2 + C;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) {
        const float k = shift[c], d0 = x[c] - k, d1 = x1[c] - k, d2 = x2[c] - k, d3 = x3[c] - k;
        sums[c] += (d0 + d1) + (d2 + d3);
        squares[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
}

void sum_slice(float* sums, float* squares, const float* x, const float* shift, std::int64_t rows,
               std::int64_t C) {
    std::fill(sums, sums + C, 0.0f);
    std::fill(squares, squares + C, 0.0f);
    std::int64_t row = 0;
    for (; row + 4 <= rows; row += 4) add_four_rows(sums, squares, x + row * C, shift, C);
    for (; row < rows; ++row) {
        const float* last = x + row * C;
#pragma omp simd
        for (std::int64_t c = 0; c < C; ++c) {
            const float d = last[c] - shift[c];
            sums[c] += d;
            squares[c] += d * d;
        }
    }
}

// Mean and rstd of one group from the slices' sums of its channels, parts [slices, 2, C] of its image.
// Channels are joined as sets of P values with a mean and a sum of squared deviations each.
void finish_group(float& mean, float& rstd, const float* parts, const float* shift, std::int64_t group,
                  const GroupNormShape& shape, float eps) {
    const std::int64_t C = shape.channels, slices = slices_of(shape), width = shape.group_channels();
    const auto P = static_cast<double>(shape.positions);
    double joined_mean = 0, deviations = 0;
    for (std::int64_t i = 0; i < width; ++i) {
        const std::int64_t c = group * width + i;
        double sum = 0, squares = 0;
        for (std::int64_t slice = 0; slice < slices; ++slice) {
            sum += static_cast<double>(parts[slice * 2 * C + c]);
            squares += static_cast<double>(parts[slice * 2 * C + C + c]);
        }
        const double step = static_cast<double>(shift[c]) + sum / P - joined_mean,
                     before = static_cast<double>(i) / static_cast<double>(i + 1);
        joined_mean += step / static_cast<double>(i + 1);
        deviations += squares - sum * sum / P + step * step * P * before;
    }
    mean = static_cast<float>(joined_mean);
    rstd = static_cast<float>(1 / std::sqrt(std::max(deviations, 0.0) / (P * static_cast<double>(width)) +
                                            static_cast<double>(eps)));
}

// to [C] = by group [G] of one image.
void spread(float* to, const float* by_group, const GroupNormShape& shape) {
    const std::int64_t width = shape.group_channels();
    for (std::int64_t group = 0; group < shape.groups; ++group)
        std::fill(to + group * width, to + (group + 1) * width, by_group[group]);
}

// Calls body(first, width) for the channels in blocks. The width of a whole block is a constant, so that its
// loops have no remainder and per-channel values stay in registers from row to row.
template <class Body>
void for_each_channel_block(std::int64_t C, Body body) {
    std::int64_t first = 0;
    for (; first + channel_block <= C; first += channel_block)
        body(first, std::integral_constant<std::int64_t, channel_block>());
    if (first < C) body(first, C - first);
}

template <class F>
void write_slice(float* y, const float* mean, const float* rstd, const float* x, const float* weight,
                 const float* bias, std::int64_t rows, std::int64_t C) {
    for_each_channel_block(C, [=](std::int64_t first, auto width) {
        float shift[channel_block], scale[channel_block], offset[channel_block];
        for (std::int64_t c = 0; c < width; ++c) {
            shift[c] = mean[first + c];
            scale[c] = rstd[first + c] * weight[first + c];
            offset[c] = bias[first + c];
        }
        for (std::int64_t row = 0; row < rows; ++row) {
            const float* from = x + row * C + first;
            float* to = y + row * C + first;
#pragma omp simd
            for (std::int64_t c = 0; c < width; ++c)
                to[c] = F::value((from[c] - shift[c]) * scale[c] + offset[c]);
        }
    });
}

// The parts of one slice of the backward pass, [4, C].
struct BackwardPart {
    BackwardPart(float* memory, std::int64_t C)
        : h_n(memory), h(memory + C), mean(memory + 2 * C), rstd(memory + 3 * C) {}
    float *h_n, *h, *mean, *rstd;
};

// Leaves h in dx, which may be dy.
template <class F>
void sum_backward_slice(float* dx, const BackwardPart& part, const float* dy, const float* x,
                        const float* weight, const float* bias, std::int64_t rows, std::int64_t C) {
    for_each_channel_block(C, [=](std::int64_t first, auto width) {
        float h_n[channel_block] = {}, h[channel_block] = {}, shift[channel_block], scale[channel_block],
              factor[channel_block], offset[channel_block];
        for (std::int64_t c = 0; c < width; ++c) {
            shift[c] = part.mean[first + c];
            scale[c] = part.rstd[first + c];
            factor[c] = weight[first + c];
            offset[c] = bias[first + c];
        }
        for (std::int64_t row = 0; row < rows; ++row) {
            const float *from = x + row * C + first, *gradient = dy + row * C + first;
            float* to = dx + row * C + first;
#pragma omp simd
            for (std::int64_t c = 0; c < width; ++c) {
                const float n = (from[c] - shift[c]) * scale[c];
                const float here = gradient[c] * F::slope(n * factor[c] + offset[c]);
                to[c] = here;
                h_n[c] += here * n;
                h[c] += here;
            }
        }
        std::copy(h_n, h_n + width, part.h_n + first);
        std::copy(h, h + width, part.h + first);
    });
}

// The means over each group of one image of h weight n and of h weight: means [2, G].
void finish_backward_image(float* means, const float* parts, const float* weight,
                           const GroupNormShape& shape) {
    const std::int64_t C = shape.channels, slices = slices_of(shape), width = shape.group_channels();
    const double elements = static_cast<double>(shape.positions) * static_cast<double>(width);
    for (std::int64_t group = 0; group < shape.groups; ++group) {
        double totals[2] = {};
        for (std::int64_t c = group * width; c < (group + 1) * width; ++c)
            for (std::int64_t slice = 0; slice < slices; ++slice)
                for (std::int64_t which = 0; which < 2; ++which)
                    totals[which] += static_cast<double>(weight[c]) *
                                     static_cast<double>(parts[(slice * 4 + which) * C + c]);
        for (std::int64_t which = 0; which < 2; ++which)
            means[which * shape.groups + group] = static_cast<float>(totals[which] / elements);
    }
}

// `part` now holds the means over groups of h weight n and h weight in the place of its sums, and dx holds h:
//
//   dx = rstd weight h - rstd mean(h weight) - (x - mean) rstd^2 mean(h weight n)
void write_backward_slice(float* dx, const BackwardPart& part, const float* x, const float* weight,
                          std::int64_t rows, std::int64_t C) {
    for_each_channel_block(C, [=](std::int64_t first, auto width) {
        float shift[channel_block], factor[channel_block], slope[channel_block], offset[channel_block];
        for (std::int64_t c = 0; c < width; ++c) {
            const float rstd = part.rstd[first + c];
            shift[c] = part.mean[first + c];
            factor[c] = rstd * weight[first + c];
            slope[c] = rstd * rstd * part.h_n[first + c];
            offset[c] = rstd * part.h[first + c];
        }
        for (std::int64_t row = 0; row < rows; ++row) {
            const float* from = x + row * C + first;
            float* to = dx + row * C + first;
#pragma omp simd
            for (std::int64_t c = 0; c < width; ++c)
                to[c] = factor[c] * to[c] - offset[c] - (from[c] - shift[c]) * slope[c];
        }
    });
}

}  // namespace

void groupnorm_forward(float* y, float* mean, float* rstd, float* workspace, const float* x,
                       const float* weight, const float* bias, const GroupNormShape& shape, float eps,
                       Activation activation) {
    const std::int64_t C = shape.channels, G = shape.groups, image_parts = slices_of(shape) * 2 * C;
    for_each_slice(shape, workspace, 2 * C, [=](const Part& part, float* sums) {
        sum_slice(sums, sums + C, x + part.begin * C, x + part.first * C, part.end - part.begin, C);
    });
    for_each_task(shape.images * G, shape.images * image_parts, [=](std::int64_t task) {
        const std::int64_t image = task / G;
        finish_group(mean[task], rstd[task], workspace + image * image_parts, x + image * shape.positions * C,
                     task % G, shape, eps);
    });
    with_activation(activation, [&](auto f) {
        for_each_slice(shape, workspace, 2 * C, [=](const Part& part, float* by_channel) {
            spread(by_channel, mean + part.image * G, shape);
            spread(by_channel + C, rstd + part.image * G, shape);
            write_slice<decltype(f)>(y + part.begin * C, by_channel, by_channel + C, x + part.begin * C,
                                     weight, bias, part.end - part.begin, C);
        });
    });
}

template <class F>
static void backward(float* dx, float* dweight, float* dbias, float* workspace, const float* dy,
                     const float* x, const float* weight, const float* bias, const float* mean,
                     const float* rstd, const GroupNormShape& shape) {
    const std::int64_t C = shape.channels, G = shape.groups, slices = slices_of(shape);
    float* means = workspace + shape.images * slices * 4 * C;  // [B, 2, G]
    for_each_slice(shape, workspace, 4 * C, [=](const Part& part, float* memory) {
        const BackwardPart sums(memory, C);
        spread(sums.mean, mean + part.image * G, shape);
        spread(sums.rstd, rstd + part.image * G, shape);
        sum_backward_slice<F>(dx + part.begin * C, sums, dy + part.begin * C, x + part.begin * C, weight,
                              bias, part.end - part.begin, C);
    });
    add_slices(dweight, workspace, 4 * C, shape.images * slices, C);
    add_slices(dbias, workspace + C, 4 * C, shape.images * slices, C);
    for_each_task(shape.images, shape.images * slices * 2 * C, [=](std::int64_t image) {
        finish_backward_image(means + image * 2 * G, workspace + image * slices * 4 * C, weight, shape);
    });
    for_each_slice(shape, workspace, 4 * C, [=](const Part& part, float* memory) {
        const BackwardPart by_channel(memory, C);
        spread(by_channel.h_n, means + part.image * 2 * G, shape);
        spread(by_channel.h, means + part.image * 2 * G + G, shape);
        write_backward_slice(dx + part.begin * C, by_channel, x + part.begin * C, weight,
                             part.end - part.begin, C);
    });
}

void groupnorm_backward(float* dx, float* dweight, float* dbias, float* workspace, const float* dy,
                        const float* x, const float* weight, const float* bias, const float* mean,
                        const float* rstd, const GroupNormShape& shape, Activation activation) {
    with_activation(activation, [&](auto f) {
        backward<decltype(f)>(dx, dweight, dbias, workspace, dy, x, weight, bias, mean, rstd, shape);
    });
}

std::int64_t groupnorm_forward_workspace(const GroupNormShape& shape) {
    return shape.images * slices_of(shape) * 2 * shape.channels;
}

std::int64_t groupnorm_backward_workspace(const GroupNormShape& shape) {
    return shape.images * (slices_of(shape) * 4 * shape.channels + 2 * shape.groups);
}

}  // namespace cpu
