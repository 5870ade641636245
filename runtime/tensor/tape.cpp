#include "runtime/tensor/tape.h"

#include <stdexcept>

#include "runtime/device/profile.h"

NodeId Tape::new_node() {
    if (free_nodes_.empty()) {
        nodes_.emplace_back();
        return static_cast<NodeId>(nodes_.size() - 1);
    }
    const NodeId node = free_nodes_.back();
    free_nodes_.pop_back();
    at(node) = {};
    return node;
}

void Tape::wrong_element() {
    throw std::logic_error("tape: access to a tensor with another element type");
}

Tensor Tape::create(std::int64_t rows, std::int64_t width, bool differentiable, Element element) {
    const NodeId id = new_node();
    Node& node = at(id);
    node.rows = rows;
    node.width = width;
    node.element = element;
    node.value.buffer = arena_.allocate(bytes(node));
    node.owners = node.value_owners = 1;
    node.differentiable = differentiable;
    return Tensor(*this, id);
}

Tensor Tape::slice(const Tensor& source, std::int64_t begin, std::int64_t count) {
    const NodeId id = new_node();
    const Node& from = at(source.node());
    Node& node = at(id);
    node = from;
    const std::size_t skipped = static_cast<std::size_t>(begin * from.width) * element_size(from.element);
    node.value.offset += skipped;
    node.rows = count;
    node.slice = true;
    node.owners = node.value_owners = 1;
    arena_.retain(node.value.buffer);
    if (node.gradient.buffer != no_buffer) {
        node.gradient.offset += skipped;
        arena_.retain(node.gradient.buffer);
    }
    return Tensor(*this, id);
}

void Tape::reserve_gradient(const Tensor& tensor) {
    Node& node = at(tensor.node());
    if (node.differentiable && node.gradient.buffer == no_buffer)
        node.gradient = {arena_.allocate(bytes(node)), 0};
}

GradientWrite Tape::begin_gradient(NodeId id) {
    Node& node = at(id);
    if (!node.gradient_written) {
        node.gradient_written = true;
        if (node.gradient.buffer == no_buffer) node.gradient = {arena_.allocate(bytes(node)), 0};
        return GradientWrite::overwrite;
    }
    if (!node.slice && arena_.owners(node.gradient.buffer) > 1) {
        const Place shared = node.gradient;
        node.gradient = {arena_.allocate(bytes(node)), 0};
        if (!planning())
            copy_within_device(device(), address(node.gradient), address(shared), bytes(node), stream());
        arena_.release(shared.buffer);
    }
    return GradientWrite::accumulate;
}

bool Tape::share_gradient(NodeId target, NodeId source) {
    Node& node = at(target);
    if (node.gradient_written || node.gradient.buffer != no_buffer || node.element != at(source).element)
        return false;
    node.gradient = at(source).gradient;
    node.gradient_written = true;
    arena_.retain(node.gradient.buffer);
    return true;
}

void Tape::inherit_gradient(NodeId target, NodeId source) {
    const bool shared = arena_.owners(at(source).gradient.buffer) > 1;
    if (shared || !share_gradient(target, source)) begin_gradient(target);
}

void Tape::backward(std::size_t mark) {
    const ProfileRange range("backward");
    while (records_.size() > mark) {
        const Record record = records_.back();
        records_.pop_back();
        record.run(closures_.data() + record.closure_begin);
        while (saved_.size() > record.saved_begin) {
            release(saved_.back());
            saved_.pop_back();
        }
        while (linked_.size() > record.linked_begin) {
            unlink(linked_.back());
            linked_.pop_back();
        }
        closures_.resize(record.closure_begin);
    }
}

void Tape::release(NodeId id) {
    if (--at(id).value_owners == 0) arena_.release(at(id).value.buffer);
    unlink(id);
}

void Tape::unlink(NodeId id) {
    Node& node = at(id);
    if (--node.owners > 0) return;
    if (node.gradient.buffer != no_buffer) arena_.release(node.gradient.buffer);
    free_nodes_.push_back(id);
}
