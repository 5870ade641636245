// Tensors and reverse-mode differentiation over the arena.
//
// A `Tensor` is an owning handle to a node: [rows, width] values in an arena buffer and, during a backward
// pass, the gradient of the loss with respect to them. An op runs its forward kernel and, when the tape is
// recording, pushes a closure that runs its backward kernel. `backward` runs the closures in reverse order
// and releases the tensors that each has saved, so a buffer is released after its last use. In planning mode
// the same happens without kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/common/stream.h"
#include "runtime/device/backend.h"
#include "runtime/tensor/arena.h"
#include "runtime/tensor/parameters.h"

class Tape;
using NodeId = std::int32_t;

// How a backward kernel writes a gradient: the first contribution overwrites, later ones accumulate.
enum class GradientWrite { overwrite, accumulate };

// A place in the arena: a buffer and a byte offset into it.
struct Place {
    BufferId buffer = no_buffer;
    std::size_t offset = 0;
};

class Tensor {
  public:
    Tensor() = default;
    Tensor(Tape& tape, NodeId node) : tape_(&tape), node_(node) {}  // takes over one ownership of the node
    Tensor(const Tensor& other);
    Tensor(Tensor&& other) noexcept
        : tape_(std::exchange(other.tape_, nullptr)), node_(std::exchange(other.node_, -1)) {}
    Tensor& operator=(Tensor other) noexcept {
        std::swap(tape_, other.tape_);
        std::swap(node_, other.node_);
        return *this;
    }
    ~Tensor();

    NodeId node() const { return node_; }
    std::int64_t rows() const;
    std::int64_t width() const;
    explicit operator bool() const { return tape_ != nullptr; }

  private:
    Tape* tape_ = nullptr;
    NodeId node_ = -1;
};

class Tape {
  public:
    // On the GPU kernels are queued on the device's main stream.
    explicit Tape(Backend backend)
        : precision_(backend.precision), arena_(backend.device, main_stream(backend.device)) {}
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    Arena& arena() { return arena_; }
    const Arena& arena() const { return arena_; }
    Device device() const { return arena_.device(); }
    Stream stream() const { return arena_.stream(); }
    // Element type of the operands of products, and of activations.
    Element operands() const { return precision_ == Precision::bf16 ? Element::bf16 : Element::f32; }
    Element activation() const { return device() == Device::cpu ? Element::f32 : operands(); }
    bool planning() const { return arena_.planning(); }
    bool recording() const { return recording_; }
    void set_recording(bool on) { recording_ = on; }

    // A new tensor of `rows * width` elements. `differentiable`: gradients flow into it, of the same type.
    Tensor create(std::int64_t rows, std::int64_t width, bool differentiable, Element element = Element::f32);
    // Rows [begin, begin + count) of `source`, sharing its memory and its gradient's.
    Tensor slice(const Tensor& source, std::int64_t begin, std::int64_t count);

    // Addresses; only during a run. Throw std::logic_error if the tensor's elements are not T.
    template <class T = float>
    const T* value(NodeId node) const {
        return mutable_value<T>(node);
    }
    template <class T = float>
    const T* value(const Tensor& tensor) const {
        return mutable_value<T>(tensor.node());
    }
    template <class T = float>
    T* mutable_value(NodeId node) const {
        return static_cast<T*>(checked<T>(at(node).value, node));
    }
    template <class T = float>
    T* mutable_value(const Tensor& tensor) const {
        return mutable_value<T>(tensor.node());
    }
    const float* gradient(NodeId node) const { return mutable_gradient(node); }
    float* mutable_gradient(NodeId node) const {
        return static_cast<float*>(checked<float>(at(node).gradient, node));
    }
    // The same for tensors whose type follows the precision.
    ConstElementPointer data(NodeId node) const { return mutable_data(node); }
    ConstElementPointer data(const Tensor& tensor) const { return mutable_data(tensor.node()); }
    ElementPointer mutable_data(NodeId node) const { return {address(at(node).value), at(node).element}; }
    ElementPointer mutable_data(const Tensor& tensor) const { return mutable_data(tensor.node()); }
    ConstElementPointer gradient_data(NodeId node) const { return mutable_gradient_data(node); }
    ElementPointer mutable_gradient_data(NodeId node) const {
        return {address(at(node).gradient), at(node).element};
    }
    // A parameter in the type of activations: what is added to them.
    ConstElementPointer constant(const Parameter* parameter) const {
        if (parameter == nullptr) return {};
        if (activation() == Element::bf16) return {parameter->rounded, Element::bf16};
        return {parameter->value, Element::f32};
    }
    ConstElementPointer constant(const Parameter& parameter) const { return constant(&parameter); }
    // As convolutions read it.
    WeightPointer kernel_weight(const Parameter& parameter) const {
        if (operands() == Element::bf16) return {parameter.rounded, Element::bf16};
        return {parameter.value, Element::f32};
    }
    // As matrix products read the first N rows: on the CPU in bf16 packed for the forward or the backward
    // product.
    WeightPointer weight(const Parameter& parameter, std::int64_t N,
                         PackedFor product = PackedFor::forward) const {
        if (operands() == Element::bf16 && device() == Device::cpu)
            return {parameter.packed->get(product, parameter.value, N, parameter.inner()), Element::bf16};
        return kernel_weight(parameter);
    }
    // Where a product of activations is added.
    ProductSum product_sum(float* address) const { return {address, operands()}; }

    std::int64_t rows(NodeId node) const { return at(node).rows; }
    std::int64_t width(NodeId node) const { return at(node).width; }
    std::int64_t elements(NodeId node) const { return rows(node) * width(node); }
    Element element(NodeId node) const { return at(node).element; }
    bool differentiable(NodeId node) const { return at(node).differentiable; }
    bool has_gradient(NodeId node) const { return at(node).gradient_written; }

    // Makes `node`'s gradient writable and marks it written. Returns whether the caller overwrites it or adds
    // to the sum that it holds. A gradient that other nodes share is copied first.
    GradientWrite begin_gradient(NodeId node);
    // Makes the gradient of `source` that of `target`, without a copy; false if `target` already has one.
    bool share_gradient(NodeId target, NodeId source);
    // Allocates a gradient for `target`, which has none, to be overwritten: in the memory of `source`'s,
    // which is no longer needed, unless other nodes share it.
    void inherit_gradient(NodeId target, NodeId source);
    // Reserves the gradient's memory now, before a loop writes it in parts.
    void reserve_gradient(const Tensor& tensor);
    void mark_gradient_written(const Tensor& tensor) { at(tensor.node()).gradient_written = true; }

    // Records `backward`, the closure of an op with output `y`: runs where y has received a gradient. Does
    // nothing unless recording.
    template <class Backward>
    void on_backward(const Tensor& y, std::initializer_list<NodeId> inputs,
                     std::initializer_list<NodeId> saved, Backward backward);
    // Records `backward` (a closure over numbers, node ids and parameters). Until it has run, the gradients
    // of `linked` nodes and the values of `saved` nodes stay; ids below 0 are ignored. Call only while
    // recording.
    template <class Backward>
    void record(std::initializer_list<NodeId> linked, std::initializer_list<NodeId> saved, Backward backward);
    // Number of closures recorded: a mark to walk back to.
    std::size_t mark() const { return records_.size(); }
    void backward(std::size_t mark);

    // Another handle to a node whose value is still there.
    Tensor handle(NodeId node) {
        retain(node);
        return Tensor(*this, node);
    }
    void retain(NodeId node) {
        ++at(node).owners;
        ++at(node).value_owners;
    }
    void release(NodeId node);
    std::size_t live_nodes() const { return nodes_.size() - free_nodes_.size(); }

  private:
    struct Node {
        Place value, gradient;
        std::int64_t rows = 0, width = 0;
        std::int32_t owners = 0, value_owners = 0;  // of the node, and those among them that need its value
        Element element = Element::f32;
        bool differentiable = false, gradient_written = false;
        bool slice = false;  // its gradient is a part of another node's
    };
    struct Record {
        void (*run)(const std::byte* closure);
        std::size_t closure_begin, linked_begin, saved_begin;
    };

    Node& at(NodeId node) { return nodes_[static_cast<std::size_t>(node)]; }
    const Node& at(NodeId node) const { return nodes_[static_cast<std::size_t>(node)]; }
    std::byte* address(const Place& place) const { return arena_.address(place.buffer) + place.offset; }
    template <class T>
    void* checked(const Place& place, NodeId node) const {
        if (element_of<T> != at(node).element) wrong_element();
        return address(place);
    }
    [[noreturn]] static void wrong_element();
    static std::size_t bytes(const Node& node) {
        return static_cast<std::size_t>(node.rows * node.width) * element_size(node.element);
    }
    NodeId new_node();
    // Of the newest record.
    void link(NodeId node) {
        if (node < 0) return;
        ++at(node).owners;
        linked_.push_back(node);
    }
    void unlink(NodeId node);

    Precision precision_;
    Arena arena_;
    bool recording_ = false;
    std::vector<Node> nodes_;
    std::vector<NodeId> free_nodes_;
    std::vector<Record> records_;  // these four grow while planning and keep their capacity for the runs
    std::vector<std::byte> closures_;
    std::vector<NodeId> linked_, saved_;
};

template <class Backward>
void Tape::record(std::initializer_list<NodeId> linked, std::initializer_list<NodeId> saved,
                  Backward backward) {
    static_assert(std::is_trivially_copyable_v<Backward> && std::is_trivially_destructible_v<Backward>);
    static_assert(alignof(Backward) <= alignof(std::max_align_t));
    const std::size_t begin = closures_.size();
    const std::size_t size = (sizeof(Backward) + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) *
                             alignof(std::max_align_t);
    records_.push_back({[](const std::byte* bytes) {
                            alignas(Backward) std::byte storage[sizeof(Backward)];
                            std::memcpy(storage, bytes, sizeof(Backward));
                            (*reinterpret_cast<Backward*>(storage))();
                        },
                        begin, linked_.size(), saved_.size()});
    closures_.resize(begin + size);
    std::memcpy(closures_.data() + begin, &backward, sizeof(Backward));
    for (const NodeId node : linked) link(node);
    for (const NodeId node : saved)
        if (node >= 0) {
            retain(node);
            saved_.push_back(node);
        }
}

template <class Backward>
void Tape::on_backward(const Tensor& y, std::initializer_list<NodeId> inputs,
                       std::initializer_list<NodeId> saved, Backward backward) {
    if (!recording_) return;
    record(inputs, saved, [this, y = y.node(), backward] {
        if (has_gradient(y)) backward();
    });
    link(y.node());
}

inline Tensor::Tensor(const Tensor& other) : tape_(other.tape_), node_(other.node_) {
    if (tape_ != nullptr) tape_->retain(node_);
}

inline Tensor::~Tensor() {
    if (tape_ != nullptr) tape_->release(node_);
}

inline std::int64_t Tensor::rows() const {
    return tape_->rows(node_);
}
inline std::int64_t Tensor::width() const {
    return tape_->width(node_);
}

// The memory map of `job`: calls it once without kernels.
template <class Job>
Plan plan_job(Tape& tape, Job&& job) {
    tape.arena().begin_planning();
    job();
    return tape.arena().finish_planning();
}

// Calls `job` with the memory of its plan.
template <class Job>
void run_job(Tape& tape, const Plan& plan, Job&& job) {
    struct End {
        Arena& arena;
        ~End() { arena.end_run(); }
    } end{tape.arena()};
    tape.arena().begin_run(plan);
    job();
}

// Runs `body(begin, count, condition rows)` for chunks of at most `chunk` rows of `condition`. While
// recording, each chunk's forward and backward pass run in turn: its activations are released before the next
// chunk, the gradients of its conditions are stored in `condition`'s gradient, and nothing remains on the
// tape. The memory of a level is therefore that of one chunk, for any number of sequences.
template <class Body>
void run_in_chunks(Tape& tape, const Tensor& condition, std::int64_t chunk, Body&& body) {
    const std::int64_t rows = condition.rows();
    if (tape.recording()) tape.reserve_gradient(condition);
    tape.arena().loop((rows + chunk - 1) / chunk, [&](std::int64_t i) {
        const std::int64_t begin = i * chunk, count = std::min(chunk, rows - begin);
        const std::size_t mark = tape.mark();
        body(begin, count, tape.slice(condition, begin, count));
        if (tape.recording()) tape.backward(mark);
    });
    if (tape.recording()) tape.mark_gradient_written(condition);
}

// y = block(x), saving only x and `sequence_ids`: the activations inside are recomputed in the backward pass.
// `block` is a closure over numbers, node ids and pointers; its random numbers are stateless, so that both
// passes agree.
template <class Block>
Tensor recompute(Tape& tape, const Tensor& x, const Tensor& sequence_ids, Block block) {
    if (!tape.recording()) return block(x);
    tape.set_recording(false);
    Tensor y = block(x);
    tape.set_recording(true);
    tape.record({y.node()}, {x.node(), sequence_ids.node()},
                [&tape, block, x_node = x.node(), y_node = y.node()] {
                    if (!tape.has_gradient(y_node)) return;
                    const std::size_t mark = tape.mark();
                    {
                        const Tensor again = block(tape.handle(x_node));
                        tape.share_gradient(again.node(), y_node);
                    }
                    tape.backward(mark);
                });
    return y;
}
