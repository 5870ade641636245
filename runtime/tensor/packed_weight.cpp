#include "runtime/tensor/packed_weight.h"

#include "kernels/linear/matmul_bf16.h"

std::int64_t PackedWeight::elements(std::int64_t N, std::int64_t K) {
    return cpu::packed_bf16_elements(N, K);
}

const bf16* PackedWeight::get(PackedFor product, const float* weight, std::int64_t N, std::int64_t K) {
    Order& order = orders_[static_cast<std::size_t>(product)];
    if (order.rows != N) {
        const auto pack = product == PackedFor::forward ? cpu::pack_bf16 : cpu::pack_bf16_backward;
        pack(order.memory, weight, N, K);
        order.rows = N;
    }
    return order.memory;
}

void PackedWeight::expire() {
    for (Order& order : orders_) order.rows = 0;
}
