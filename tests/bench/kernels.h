// The kernels that are measured: one list for both devices.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/backend.h"
#include "runtime/device/device.h"
#include "runtime/device/element.h"
#include "runtime/tensor/packed_weight.h"
#include "tests/bench/shapes.h"

// Device and stream of a kernel's call: arguments of LAUNCH_ON.
struct LaunchSite {
    Device device;
    Stream stream;
};

// Owner of the arrays of one measured kernel. Floats are uniform in [-1, 1): no zeros, denormals or
// infinities, which would make arithmetic faster, or a GPU's clock higher, than in a model.
class Operands {
  public:
    explicit Operands(Backend backend) : backend_(backend) {}

    LaunchSite site() const { return {backend_.device, main_stream(backend_.device)}; }
    Precision precision() const { return backend_.precision; }

    ElementPointer activations(std::int64_t count);  // of the precision's type, on the CPU float
    // Of products, as the precision has them: a matrix [N, K], a convolution's weights, a weight's gradient.
    WeightPointer matrix(std::int64_t N, std::int64_t K, PackedFor product = PackedFor::forward);
    WeightPointer kernel_weight(std::int64_t count);
    ProductSum product_sum(std::int64_t count);
    float* floats(std::int64_t count);
    float* uniforms(std::int64_t count);  // in [0, 1)
    bf16* rounded(std::int64_t count);
    std::int32_t* integers(std::int64_t count, std::int32_t bound);  // uniform in 0 .. bound - 1
    std::int64_t* numbers(std::int64_t count);                       // 0, 1, 2, ...
    double* doubles(std::int64_t count);                             // ones
    std::uint8_t* bytes(std::int64_t count, std::uint8_t value);
    template <class T>
    T* copied(const std::vector<T>& values) {
        return repeated(values, static_cast<std::int64_t>(values.size()));
    }

  private:
    // `count` values, the pattern again and again.
    template <class T>
    T* repeated(const std::vector<T>& pattern, std::int64_t count);

    Backend backend_;
    std::deque<Memory> memory_;
};

// The bound of a kernel on the CPU at its shapes, whose operands may fit the caches, and so the rate that is
// reported. On the GPU it is the slower of the two at the ceilings.
enum class Bound { arithmetic, memory };

// Of one call, by the header's formula: bytes that must be read from memory or written to it at least once,
// and operations, 0 where the kernel only moves.
struct Cost {
    double bytes, operations;
};

struct Kernel {
    std::string name, shape;
    Bound bound;
    Cost cost;
    // Creates the operands; returns a function that calls the kernel once.
    std::function<std::function<void()>(Operands&)> prepare;
};

class KernelList {
  public:
    // At these shapes, as this backend computes them.
    KernelList(const Shapes& shapes, Backend backend) : shapes_(shapes), backend_(backend) {}

    const Shapes& shapes() const { return shapes_; }
    // Bytes of an activation, and of a weight of a product.
    double activation_bytes() const { return backend_.device == Device::cpu ? 4 : weight_bytes(); }
    double weight_bytes() const { return precision() == Precision::bf16 ? 2 : 4; }
    Precision precision() const { return backend_.precision; }

    // prepare(operands) returns the call.
    template <class Prepare>
    void add(std::string_view name, std::string shape, Bound bound, Cost cost, Prepare prepare) {
        kernels_.push_back({std::string(name), std::move(shape), bound, cost, prepare});
    }
    const std::vector<Kernel>& kernels() const { return kernels_; }

  private:
    const Shapes& shapes_;
    Backend backend_;
    std::vector<Kernel> kernels_;
};

void add_products(KernelList& list);
void add_attention(KernelList& list);
void add_norms(KernelList& list);
void add_elementwise(KernelList& list);   // activations, residuals, dropout, rotary embedding, rounding
void add_rows(KernelList& list);          // sequences, embeddings, patches, orders of patches
void add_values(KernelList& list);        // losses, draws, pixels, sums, the optimizer
void add_feature_maps(KernelList& list);  // convolutions, group norms, pooling
void add_tokens(KernelList& list);        // codebooks, patches of tokens, parallel decoding
void add_tokenizer_losses(KernelList& list);

inline KernelList all_kernels(const Shapes& shapes, Backend backend) {
    KernelList list(shapes, backend);
    for (const auto add : {add_products, add_attention, add_norms, add_elementwise, add_rows, add_values,
                           add_feature_maps, add_tokens, add_tokenizer_losses})
        add(list);
    return list;
}

inline double elements(std::int64_t rows, std::int64_t width) {
    return static_cast<double>(rows) * static_cast<double>(width);
}
