// Shared by the attention kernels of all paths: addresses of a head's rows, and dropout.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/attention/attention.h"
#include "kernels/common/device_math.cuh"

namespace cuda::attention {

constexpr float log2_e = 1.44269504f;

// AttentionShape in the kernels' types. A pair is a (sequence, head): number sequence * heads + head.
struct Shape {
    std::int64_t pairs;
    int length, heads, head_dim;
    bool causal;

    explicit Shape(const AttentionShape& shape)
        : pairs(shape.sequences * shape.heads),
          length(static_cast<int>(shape.length)),
          heads(static_cast<int>(shape.heads)),
          head_dim(static_cast<int>(shape.head_dim)),
          causal(shape.causal) {}
    float scale() const { return 1 / std::sqrt(static_cast<float>(head_dim)); }
};

// One pair: where its rows start, in elements of qkv [S, L, 3, H, d], out [S, L, H, d] and lse [S, H, L].
struct Head {
    int index, qkv_stride, out_stride;
    std::int64_t sequence, qkv_start, out_start, lse_start;
    __device__ Head(const Shape& shape, std::int64_t pair)
        : qkv_stride(3 * shape.heads * shape.head_dim),
          out_stride(shape.heads * shape.head_dim),
          sequence(pair / shape.heads),
          lse_start(pair * shape.length) {
        index = static_cast<int>(pair - sequence * shape.heads);
        qkv_start = sequence * shape.length * qkv_stride + index * shape.head_dim;
        out_start = sequence * shape.length * out_stride + index * shape.head_dim;
    }
    __device__ std::int64_t qkv_row(int token) const {
        return qkv_start + static_cast<std::int64_t>(token) * qkv_stride;
    }
    __device__ std::int64_t out_row(int token) const {
        return out_start + static_cast<std::int64_t>(token) * out_stride;
    }
};

// AttentionDropout in the kernels' types.
struct Drops {
    PhiloxKey key;
    std::uint32_t step, threshold;
    float kept;  // 1 / (1 - p)
    const std::int64_t* sequence_ids;

    // unit_float(word) >= p, as a comparison of integers: word >= ceil(p 2^24) 2^8
    explicit Drops(const AttentionDropout& dropout)
        : key(dropout.key),
          step(dropout.step),
          threshold(static_cast<std::uint32_t>(std::ceil(dropout.probability * 0x1p24f)) << 8),
          kept(1 / (1 - dropout.probability)),
          sequence_ids(dropout.sequence_ids) {}
};

// Dropout of the weights [L, L] of one pair (sequence, head). If constructed with `active` false, no member
// may be called.
class HeadDrops {
  public:
    __device__ HeadDrops(const Drops& drops, std::int64_t sequence_id, int head, int length)
        : drops_(drops),
          id_(static_cast<std::uint64_t>(sequence_id)),
          length_(static_cast<std::uint64_t>(length)),
          first_(static_cast<std::uint64_t>(head) * length_ * length_) {}
    __device__ HeadDrops(const Drops& drops, const Shape& shape, const Head& head, bool active)
        : HeadDrops(drops, active ? drops.sequence_ids[head.sequence] : 0, head.index, shape.length) {}

    // The number e of attention.h of a weight.
    __device__ std::uint64_t element(int query, int key) const {
        return first_ + static_cast<std::uint64_t>(query) * length_ + static_cast<std::uint64_t>(key);
    }
    // Bit w: whether element 4 counter + w is kept.
    __device__ std::uint32_t kept_of_four(std::uint64_t counter) const {
        const auto words = philox({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(id_),
                                   static_cast<std::uint32_t>(id_ >> 32), drops_.step},
                                  drops_.key);
        std::uint32_t bits = 0;
#pragma unroll
        for (std::uint32_t w = 0; w < 4; ++w) bits |= (words[w] >= drops_.threshold ? 1u : 0u) << w;
        return bits;
    }
    // 0 or 1 / (1 - p)
    __device__ float factor(int query, int key) const {
        const std::uint64_t e = element(query, key);
        return kept_of_four(e / 4) >> (e % 4) & 1u ? drops_.kept : 0.0f;
    }
    // Bit j: whether (query, key + j) is kept, for j < keys <= 64. The `team` consecutive lanes of a team (1
    // or 4; the caller is number `member`) pass the same arguments and share the work; all lanes of the warp
    // together.
    template <int keys, int team>
    __device__ std::uint64_t kept_bits(int query, int key, int member) const {
        const std::uint64_t e = element(query, key);
        const int shift = static_cast<int>(e % 4);
        std::uint64_t bits = 0;
#pragma unroll 1  // Philox is long
        for (int first = 0; first <= keys / 4; first += team) {
            const int n = first + member;
            if (n < keys / 4 || (n == keys / 4 && shift != 0)) {
                const std::uint64_t four = kept_of_four(e / 4 + static_cast<std::uint64_t>(n));
                const int position = 4 * n - shift;
                bits |= position < 0 ? four >> -position : four << position;
            }
        }
        if constexpr (team == 1) return bits;
        auto low = static_cast<std::uint32_t>(bits), high = static_cast<std::uint32_t>(bits >> 32);
#pragma unroll
        for (int distance = 1; distance < team; distance *= 2) {
            low |= __shfl_xor_sync(all_lanes, low, distance);
            if constexpr (keys > 32) high |= __shfl_xor_sync(all_lanes, high, distance);
        }
        return static_cast<std::uint64_t>(high) << 32 | low;
    }

  private:
    const Drops& drops_;
    std::uint64_t id_, length_, first_;
};

}  // namespace cuda::attention
