// Norms, alone and together with the residual stream's addition: bound by memory, or by the caches where
// chunks are small enough.
#include <fmt/format.h>

#include "kernels/norm/layernorm.h"
#include "kernels/norm/rmsnorm.h"
#include "runtime/device/launch.h"
#include "tests/bench/kernels.h"

namespace {

std::string matrix(std::int64_t height, std::int64_t columns) {
    return fmt::format("{} x {}", height, columns);
}

constexpr float epsilon = 1e-6f;

// x and results in its place are the residual stream, float in each precision; y and dy are not.
struct NormOperands {
    NormOperands(Operands& in, std::int64_t rows, std::int64_t width)
        : on(in.site()),
          x(in.floats(rows * width)),
          out(in.floats(rows * width)),
          weight(in.floats(width)),
          bias(in.floats(width)),
          dweight(in.floats(width)),
          dbias(in.floats(width)),
          mean(in.floats(rows)),
          rstd(in.floats(rows)),
          y(in.activations(rows * width)),
          branch(in.activations(rows * width)) {}

    LaunchSite on;
    float *x, *out, *weight, *bias, *dweight, *dbias, *mean, *rstd;
    ElementPointer y, branch;
};

void add_layernorm_forward(KernelList& list, std::int64_t rows, std::int64_t width) {
    const double count = elements(rows, width), a = list.activation_bytes();
    list.add("layernorm_forward", matrix(rows, width), Bound::memory, {(4 + a) * count, 7 * count},
             [=](Operands& in) {
                 const NormOperands n(in, rows, width);
                 return [=] {
                     LAUNCH_ON(n.on.device, n.on.stream, layernorm_forward, n.y, n.mean, n.rstd, n.x,
                               n.weight, n.bias, rows, width, epsilon);
                 };
             });
    list.add("residual_layernorm_forward", matrix(rows, width), Bound::memory,
             {(8 + 2 * a) * count, 8 * count}, [=](Operands& in) {
                 const NormOperands n(in, rows, width);
                 return [=] {
                     LAUNCH_ON(n.on.device, n.on.stream, residual_layernorm_forward, n.out, n.y, n.mean,
                               n.rstd, n.x, n.branch, n.weight, n.bias, rows, width, epsilon);
                 };
             });
}

void add_layernorm_backward(KernelList& list, std::int64_t rows, std::int64_t width) {
    const double count = elements(rows, width), a = list.activation_bytes();
    list.add("layernorm_backward", matrix(rows, width), Bound::memory, {(8 + a) * count, 15 * count},
             [=](Operands& in) {
                 const NormOperands n(in, rows, width);
                 float* workspace = in.floats(SIZE_ON(n.on.device, layernorm_backward_workspace, width));
                 LAUNCH_ON(n.on.device, n.on.stream, layernorm_forward, n.branch, n.mean, n.rstd, n.x,
                           n.weight, n.bias, rows, width, epsilon);
                 return [=] {
                     LAUNCH_ON(n.on.device, n.on.stream, layernorm_backward, n.out, n.dweight, n.dbias,
                               workspace, n.y, n.x, n.weight, n.mean, n.rstd, rows, width);
                 };
             });
    list.add("layernorm_backward_accumulate", matrix(rows, width), Bound::memory,
             {(12 + a) * count, 16 * count}, [=](Operands& in) {
                 const NormOperands n(in, rows, width);
                 float* workspace = in.floats(SIZE_ON(n.on.device, layernorm_backward_workspace, width));
                 LAUNCH_ON(n.on.device, n.on.stream, layernorm_forward, n.branch, n.mean, n.rstd, n.x,
                           n.weight, n.bias, rows, width, epsilon);
                 return [=] {
                     LAUNCH_ON(n.on.device, n.on.stream, layernorm_backward_accumulate, n.out, n.dweight,
                               n.dbias, workspace, n.y, n.x, n.weight, n.mean, n.rstd, rows, width);
                 };
             });
}

void add_rmsnorm_forward(KernelList& list, std::int64_t rows, std::int64_t width) {
    const double count = elements(rows, width), a = list.activation_bytes();
    list.add("rmsnorm_forward", matrix(rows, width), Bound::memory, {(4 + a) * count, 4 * count},
             [=](Operands& in) {
                 const NormOperands n(in, rows, width);
                 return [=] {
                     LAUNCH_ON(n.on.device, n.on.stream, rmsnorm_forward, n.y, n.rstd, n.x, n.weight, rows,
                               width, epsilon);
                 };
             });
    list.add("residual_rmsnorm_forward", matrix(rows, width), Bound::memory, {(8 + 2 * a) * count, 5 * count},
             [=](Operands& in) {
                 const NormOperands n(in, rows, width);
                 return [=] {
                     LAUNCH_ON(n.on.device, n.on.stream, residual_rmsnorm_forward, n.out, n.y, n.rstd, n.x,
                               n.branch, n.weight, rows, width, epsilon);
                 };
             });
}

void add_rmsnorm_backward(KernelList& list, std::int64_t rows, std::int64_t width) {
    const double count = elements(rows, width), a = list.activation_bytes();
    list.add("rmsnorm_backward", matrix(rows, width), Bound::memory, {(8 + a) * count, 9 * count},
             [=](Operands& in) {
                 const NormOperands n(in, rows, width);
                 float* workspace = in.floats(SIZE_ON(n.on.device, rmsnorm_backward_workspace, width));
                 LAUNCH_ON(n.on.device, n.on.stream, rmsnorm_forward, n.branch, n.rstd, n.x, n.weight, rows,
                           width, epsilon);
                 return [=] {
                     LAUNCH_ON(n.on.device, n.on.stream, rmsnorm_backward, n.out, n.dweight, workspace, n.y,
                               n.x, n.weight, n.rstd, rows, width);
                 };
             });
    list.add("rmsnorm_backward_accumulate", matrix(rows, width), Bound::memory,
             {(12 + a) * count, 10 * count}, [=](Operands& in) {
                 const NormOperands n(in, rows, width);
                 float* workspace = in.floats(SIZE_ON(n.on.device, rmsnorm_backward_workspace, width));
                 LAUNCH_ON(n.on.device, n.on.stream, rmsnorm_forward, n.branch, n.rstd, n.x, n.weight, rows,
                           width, epsilon);
                 return [=] {
                     LAUNCH_ON(n.on.device, n.on.stream, rmsnorm_backward_accumulate, n.out, n.dweight,
                               workspace, n.y, n.x, n.weight, n.rstd, rows, width);
                 };
             });
}

}  // namespace

void add_norms(KernelList& list) {
    const auto& pixels = list.shapes().pixels;
    const auto& level = list.shapes().level;
    add_layernorm_forward(list, pixels.rows(), pixels.width);
    add_layernorm_backward(list, pixels.rows(), pixels.width);
    add_rmsnorm_forward(list, level.rows(), level.width);
    add_rmsnorm_backward(list, level.rows(), level.width);
}
