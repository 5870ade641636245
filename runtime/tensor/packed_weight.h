// A weight as the CPU's products in bf16 read it (kernels/linear/matmul_bf16.h): rounded and packed when a
// product first reads it after a change, once per update, in the order that this product needs.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/common/bf16.h"

enum class PackedFor { forward, backward };

class PackedWeight {
  public:
    // Memory for both orders of all rows that will be asked for.
    PackedWeight(bf16* forward, bf16* backward) : orders_{{{forward}, {backward}}} {}
    // The place of a weight [N, K] in either order.
    static std::int64_t elements(std::int64_t N, std::int64_t K);

    // The first N rows of `weight` [.., K], which may go on in the adjacent parameter.
    const bf16* get(PackedFor product, const float* weight, std::int64_t N, std::int64_t K);
    // The weight has changed.
    void expire();

  private:
    struct Order {
        bf16* memory;
        std::int64_t rows = 0;  // that are up to date
    };
    std::array<Order, 2> orders_;
};
