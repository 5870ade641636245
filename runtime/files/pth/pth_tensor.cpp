#include "runtime/files/pth/pth_tensor.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "runtime/base/error.h"

namespace {

using Kind = Pickle::Kind;
using Value = Pickle::Value;

constexpr std::int64_t max_elements = std::int64_t{1} << 48;
constexpr std::size_t max_rank = 64;
constexpr std::size_t max_key = 64;  // bytes
constexpr int max_wrappings = 8;     // of parameters around tensors

bool is_namespace(const Pickle& pickle, Value value) {
    return pickle.is(value, Kind::object) && pickle.is_global(pickle[value].head, "argparse", "Namespace");
}

bool is_whole(const Pickle& pickle, Value value) {
    return pickle.is(value, Kind::integer);
}

// The sizes or strides of a tensor: a tuple, a list or a torch.Size.
std::vector<std::int64_t> parse_sizes(const Pickle& pickle, Value value, std::string_view source) {
    if (pickle.is(value, Kind::object) && pickle.is_global(pickle[value].head, "torch", "Size") &&
        pickle[pickle[value].body].items.size() == 1)
        value = pickle[pickle[value].body].items[0];
    if (!pickle.is(value, Kind::tuple) && !pickle.is(value, Kind::list))
        fail("{}: a shape or strides that are no tuple", source);
    std::vector<std::int64_t> sizes;
    if (pickle[value].items.size() > max_rank)
        fail("{}: {} dimensions, expected at most {}", source, pickle[value].items.size(), max_rank);
    for (const Value item : pickle[value].items) {
        if (!is_whole(pickle, item)) fail("{}: a size or stride that is no number", source);
        if (pickle[item].integer < 0) fail("{}: a size or stride of {}", source, pickle[item].integer);
        sizes.push_back(pickle[item].integer);
    }
    return sizes;
}

// Elements from the first to behind the last one that shape and strides reach; 0 if there are none.
std::int64_t element_span(const PthTensor& tensor, std::string_view source) {
    if (std::ranges::find(tensor.shape, 0) != tensor.shape.end()) return 0;
    std::int64_t count = 1, last = 0;
    bool absurd = false;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
        std::int64_t reach = 0;
        absurd = absurd || __builtin_mul_overflow(count, tensor.shape[i], &count) || count > max_elements ||
                 __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach) ||
                 __builtin_add_overflow(last, reach, &last) || last > max_elements;
    }
    if (absurd) fail("{}: a shape and strides beyond all measure", source);
    return last + 1;
}

// Which of torch's functions rebuilds a tensor, and its arguments, without the parameters around it.
struct Rebuild {
    std::string_view function;
    const std::vector<Value>* arguments = nullptr;
};

std::optional<Rebuild> find_rebuild(const Pickle& pickle, Value value) {
    if (!pickle.is(value, Kind::object)) return std::nullopt;
    Value callee = pickle[value].head, arguments = pickle[value].body;
    for (int i = 0; i < max_wrappings; ++i) {
        if (!pickle.is(arguments, Kind::tuple)) return std::nullopt;
        const std::vector<Value>& items = pickle[arguments].items;
        for (const std::string_view name : {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"})
            if (pickle.is_global(callee, "torch._utils", name)) return Rebuild{name, &items};
        if ((pickle.is_global(callee, "torch._utils", "_rebuild_parameter") ||
             pickle.is_global(callee, "torch._utils", "_rebuild_parameter_with_state")) &&
            !items.empty() && pickle.is(items[0], Kind::object)) {
            const Value inner = items[0];
            callee = pickle[inner].head;
            arguments = pickle[inner].body;
        } else if (pickle.is_global(callee, "torch._tensor", "_rebuild_from_type_v2") && items.size() >= 3) {
            callee = items[0];
            arguments = items[2];
        } else {
            return std::nullopt;
        }
    }
    return std::nullopt;
}

// The type that _rebuild_tensor_v3 gives as a torch.dtype.
ScalarType parse_type(const Pickle& pickle, Value value, std::string_view source) {
    if (pickle.is(value, Kind::global) && pickle.is_string(pickle[value].head, "torch"))
        if (const auto type = torch_type(pickle[pickle[value].body].text)) return *type;
    fail("{}: a tensor of an unknown dtype", source);
}

bool is_floating_point(ScalarType type) {
    return type == ScalarType::float64 || type == ScalarType::float32 || type == ScalarType::float16 ||
           type == ScalarType::bfloat16;
}

// The metadata that torch.save puts behind a tensor's other arguments: {"neg": True} and {"conj": True} of
// views that torch negates or conjugates only when they are read. Anything else that is set there changes the
// meaning of the elements in a way that is not known here.
void parse_view_flags(const Pickle& pickle, Value metadata, PthTensor& tensor) {
    if (metadata == Pickle::nothing) return;
    if (!is_dictionary(pickle, metadata)) {
        tensor.unreadable = "metadata of an unknown form";
        return;
    }
    for (const auto& [key, value] : dictionary_entries(pickle, metadata)) {
        const Pickle::Node& flag = pickle[value];
        const bool off = flag.kind == Kind::none ||
                         ((flag.kind == Kind::boolean || flag.kind == Kind::integer) && flag.integer == 0);
        if (pickle.is_string(key, "neg")) {
            tensor.negated = !off;
        } else if (!off) {
            tensor.unreadable = pickle.is_string(key, "conj")
                                    ? "a conjugated view, expected resolved numbers (resolve_conj)"
                                    : "metadata of an unknown meaning";
        }
    }
    if (tensor.negated && !is_floating_point(tensor.type))
        tensor.unreadable = fmt::format("a negated view of {}, expected resolved numbers (resolve_neg)",
                                        scalar_name(tensor.type));
}

}  // namespace

std::int64_t PthTensor::count() const {
    if (std::ranges::find(shape, 0) != shape.end()) return 0;
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>{});
}

bool PthTensor::contiguous() const {
    std::int64_t expected = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
        if (shape[i] != 1 && strides[i] != expected) return false;
        expected *= shape[i];
    }
    return true;
}

bool is_dictionary(const Pickle& pickle, Value value) {
    const Pickle::Node& node = pickle[value];
    if (is_namespace(pickle, value)) return pickle.is(node.state, Kind::dictionary);
    return node.kind == Kind::dictionary ||
           (node.kind == Kind::object && (pickle.is_global(node.head, "collections", "OrderedDict") ||
                                          pickle.is_global(node.head, "collections", "defaultdict")));
}

std::vector<std::pair<Value, Value>> dictionary_entries(const Pickle& pickle, Value value) {
    std::vector<std::pair<Value, Value>> entries;
    if (!is_dictionary(pickle, value)) return entries;
    const Pickle::Node& node = pickle[is_namespace(pickle, value) ? pickle[value].state : value];
    // Python 2 passes an OrderedDict's entries as one argument, a list of pairs.
    if (pickle.is_global(node.head, "collections", "OrderedDict") && !pickle[node.body].items.empty())
        for (const Value pair : pickle[pickle[node.body].items[0]].items)
            if (pickle[pair].items.size() == 2)
                entries.emplace_back(pickle[pair].items[0], pickle[pair].items[1]);
    for (std::size_t i = 0; i + 1 < node.items.size(); i += 2)
        entries.emplace_back(node.items[i], node.items[i + 1]);
    return entries;
}

PthStorage parse_storage(const Pickle& pickle, Value value, std::string_view source) {
    const Pickle::Node& id = pickle[pickle[value].head];
    if (!pickle.is(value, Kind::persistent) || id.kind != Kind::tuple || id.items.size() < 5 ||
        !pickle.is_string(id.items[0], "storage") || !pickle.is(id.items[2], Kind::string) ||
        !is_whole(pickle, id.items[4]))
        fail("{}: a storage is not described as torch does", source);
    PthStorage storage;
    storage.key = pickle[id.items[2]].text;
    if (storage.key.size() > max_key ||
        !std::ranges::all_of(storage.key, [](char c) { return c > ' ' && c <= '~'; }))
        fail("{}: a storage whose key is no number", source);
    storage.total = storage.count = pickle[id.items[4]].integer;
    const Pickle::Node& global = pickle[id.items[1]];
    const std::string_view name = pickle[global.body].text;
    const auto type = name == "UntypedStorage" ? ScalarType::uint8 : storage_type(name);
    if (global.kind != Kind::global || !pickle[global.head].text.starts_with("torch") || !type)
        fail("{}: a storage of an unknown type", source);
    storage.type = *type;
    if (storage.total < 0 || storage.total > max_elements)
        fail("{}: a storage of {} elements", source, storage.total);
    if (id.items.size() < 6) return storage;
    const std::vector<Value>& view = pickle[id.items[5]].items;  // (key, first, count); None: all of it
    if (view.size() != 3) return storage;
    storage.first = pickle[view[1]].integer;
    storage.count = pickle[view[2]].integer;
    if (storage.first < 0 || storage.count < 0 || storage.first > storage.total - storage.count)
        fail("{}: a storage that is not within another", source);
    return storage;
}

bool is_tensor(const Pickle& pickle, Value value) {
    return find_rebuild(pickle, value).has_value();
}

std::optional<PthTensor> parse_tensor(const Pickle& pickle, Value value, std::string_view source) {
    const auto rebuild = find_rebuild(pickle, value);
    if (!rebuild) return std::nullopt;
    const std::vector<Value>& arguments = *rebuild->arguments;
    const bool typed = rebuild->function == "_rebuild_tensor_v3";
    if (arguments.size() < (typed ? 7 : 4) || !is_whole(pickle, arguments[1]))
        fail("{}: not described as torch does", source);
    const PthStorage storage = parse_storage(pickle, arguments[0], source);
    PthTensor tensor;
    tensor.storage = storage.key;
    tensor.storage_bytes = storage.bytes();
    tensor.type = typed ? parse_type(pickle, arguments[6], source) : storage.type;
    tensor.shape = parse_sizes(pickle, arguments[2], source);
    tensor.strides = parse_sizes(pickle, arguments[3], source);
    if (tensor.shape.size() != tensor.strides.size())
        fail("{}: {} sizes and {} strides", source, tensor.shape.size(), tensor.strides.size());
    for (std::size_t i = 0; i < tensor.shape.size(); ++i)
        if (tensor.shape[i] == 1) tensor.strides[i] = 0;  // never taken, and torch writes any number
    const auto element = static_cast<std::int64_t>(scalar_bytes(tensor.type)),
               unit = static_cast<std::int64_t>(scalar_bytes(storage.type));
    const std::int64_t there = storage.count * unit / element, offset = pickle[arguments[1]].integer,
                       span = element_span(tensor, source);
    if (offset < 0 || span > there - offset)
        fail("{}: its elements from {} on do not lie within its storage of {} elements", source, offset,
             there);
    tensor.offset = static_cast<std::uint64_t>(storage.first * unit + offset * element);
    tensor.span = static_cast<std::uint64_t>(span * element);
    const std::size_t metadata = typed ? 7 : 6;
    if (arguments.size() > metadata) parse_view_flags(pickle, arguments[metadata], tensor);
    return tensor;
}
