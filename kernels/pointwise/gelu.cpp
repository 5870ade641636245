// Why so: Phi and the slope of gelu are 1/2 plus an odd function that equals -1/2 or 1/2 in single precision
// before |x| = 6, so that each is one polynomial and a select. Via e^(-x^2/2) and a formula for erf they take
// 1.6 times as long: a division, and two polynomials in sequence.
#include "kernels/pointwise/gelu.h"

#include <cmath>

#include "kernels/common/partition.h"

namespace cpu {
namespace {

// x P(u) with u = 2 x^2 / limit^2 - 1 for |x| < limit, beyond that -1/2 or 1/2. P has the least largest error
// of x P(u) that its degree allows (fitted by Lawson's weights at Chebyshev's nodes). Its coefficients are
// those of powers of u: small, since u stays within [-1, 1], so that single precision is enough.
template <int Degree>
struct OddFunction {
    float limit;
    float coefficients[Degree + 1];  // of u^0, u^1, ...

    // Even and odd powers are summed apart, in two independent chains of multiply-adds.
    float operator()(float x) const {
        constexpr int even = Degree / 2 * 2, odd = (Degree - 1) / 2 * 2 + 1;  // the highest of each
        const float u = x * x * (2 / (limit * limit)) - 1, u2 = u * u;
        float p = coefficients[even], q = coefficients[odd];
#pragma GCC unroll 16
        for (int power = even - 2; power >= 0; power -= 2) p = p * u2 + coefficients[power];
#pragma GCC unroll 16
        for (int power = odd - 2; power >= 1; power -= 2) q = q * u2 + coefficients[power];
        return std::fabs(x) >= limit ? std::copysign(0.5f, x) : x * (p + q * u);
    }
};

// Phi(x) - 1/2 to 8e-8, and Phi(x) + x phi(x) - 1/2 to 2e-7.
constexpr OddFunction<13> distribution{
    5.25f,
    {0.134659364f, -0.0671266514f, 0.0496439007f, -0.0397686534f, 0.0320642273f, -0.024994763f, 0.0183261625f,
     -0.0129550088f, 0.00907002171f, -0.00511886603f, 0.00186978996f, -0.00132730309f, 0.00145648688f,
     -0.000560640955f}};
constexpr OddFunction<16> slope{
    5.7f,
    {0.12416531f, -0.0629256023f, 0.050139485f, -0.0484697007f, 0.0532741647f, -0.0610992719f, 0.0687251073f,
     -0.0730815464f, 0.0673730322f, -0.0522323506f, 0.0459333853f, -0.0453674361f, 0.0241755528f,
     -0.000963197556f, 0.00456101692f, -0.0109432192f, 0.00445461889f}};

}  // namespace

void gelu_forward(float* y, const float* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] * (0.5f + distribution(x[i]));
    });
}

void gelu_backward(float* dx, const float* dy, const float* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * (0.5f + slope(x[i]));
    });
}

}  // namespace cpu
