// A model's parameters: named tensors in one slab, their gradients in a second one of the same layout. Names
// are the published ones, for checkpoints compatible with the authors' code in both directions.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/backend.h"
#include "runtime/tensor/packed_weight.h"

// normal(0, 0.02); normal(0, 1); Xavier-uniform over [rows, columns]; uniform within 1 / sqrt(inputs of an output), for
// convolutions; uniform within 1 / rows, for the codebook of a tokenizer.
enum class Init { zeros, ones, normal, unit_normal, xavier, fan_in, codebook };

struct Parameter {
    std::string name;
    std::vector<std::int64_t> shape;
    Init init = Init::zeros;
    std::int64_t count = 0;
    std::size_t offset = 0;          // in floats, in every slab of this layout
    float* value = nullptr;          // null until allocate(); all three in the device's memory
    float* gradient = nullptr;       // null unless allocated with gradients
    bf16* rounded = nullptr;         // the value in bf16; null in precision fp32
    PackedWeight* packed = nullptr;  // of a weight of products; null unless on the CPU in precision bf16

    // Products in a sum: K of a weight [N, K], or of a 1 x 1 convolution's [N, K, 1, 1].
    std::int64_t inner() const { return count / shape[0]; }
    // Weight decay applies to tensors of rank > 1 whose name does not end in ".bias".
    bool decays() const { return shape.size() > 1 && !name.ends_with(".bias"); }
};

class Parameters {
  public:
    // Registers a parameter; the reference stays valid. `adjacent`: placed directly after the previous one,
    // so that both can be read as one matrix; otherwise it starts at a multiple of 64 bytes. Throws
    // std::logic_error for a name used twice.
    Parameter& add(std::string name, std::vector<std::int64_t> shape, Init init, bool adjacent = false);

    // Before allocate(): makes every slab of this layout a multiple of so many floats long.
    void pad_slab(std::size_t multiple);
    // Reserves the slabs; values and gradients are zero.
    void allocate(Backend backend, bool with_gradients);
    // Draws every parameter by its rule, keyed by (seed, its name).
    void initialize(std::uint64_t seed);
    // In the order of `stream`.
    void zero_gradients(Stream stream = {});
    // Makes the parameters read from another slab of this layout (an average, say) until the next call.
    void use_values(float* slab);
    // Brings `rounded` up to date after the values have changed, unless the optimizer changed them.
    void round_values();
    // The values have changed, and `rounded` with them: they are packed anew when they are next read.
    void expire_packed();

    // Throws Error if there is none.
    Parameter& find(std::string_view name);
    std::deque<Parameter>& all() { return parameters_; }
    const std::deque<Parameter>& all() const { return parameters_; }
    // Sum of the parameters' sizes, and the size of a slab with its padding, in floats.
    std::int64_t count() const;
    std::size_t slab_floats() const { return slab_floats_; }
    float* values() const { return reinterpret_cast<float*>(values_.data()); }
    float* gradients() const { return reinterpret_cast<float*>(gradients_.data()); }
    Device device() const { return device_; }

  private:
    std::deque<Parameter> parameters_;
    std::size_t slab_floats_ = 0;
    Device device_ = Device::cpu;
    std::deque<PackedWeight> packed_weights_;
    Memory values_, gradients_, rounded_, packed_;
    void reserve_packed();
};
