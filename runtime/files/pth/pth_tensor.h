// Tensors among the objects in a torch checkpoint's pickle: storages, and tensors as strided views of them.
// Only the few callees that torch.save writes for these are supported; all other objects are ignored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/files/pth/pickle.h"
#include "runtime/files/scalar_type.h"

// A flat array of numbers, kept in the file under a key; `first` and `count` are the part that is meant, in
// elements (all of it but for some files of the oldest form).
struct PthStorage {
    std::string key;
    ScalarType type = ScalarType::float32;
    std::int64_t total = 0;  // elements in the file
    std::int64_t first = 0, count = 0;

    // Cannot overflow: parse_storage() bounds `total`.
    std::uint64_t bytes() const { return static_cast<std::uint64_t>(total) * scalar_bytes(type); }
};

struct PthTensor {
    std::string storage;  // key
    ScalarType type = ScalarType::float32;
    std::uint64_t storage_bytes = 0;           // all of the storage in the file
    std::vector<std::int64_t> shape, strides;  // strides in elements, as many as the shape has
    std::uint64_t offset = 0;                  // of the first element, in bytes
    std::uint64_t span = 0;  // bytes from the first to behind the last element; 0: no elements
    bool negated = false;    // the elements are the stored ones with the opposite sign
    std::string unreadable;  // why read() refuses it although it is well-formed; "": it does not

    std::int64_t count() const;
    bool contiguous() const;  // row after row without gaps
};

// Whether dictionary_entries() understands a value.
bool is_dictionary(const Pickle& pickle, Pickle::Value value);
// Key and value of a dictionary's entries in the order they were set: of a plain one, a
// collections.OrderedDict or defaultdict, or the attributes of an argparse.Namespace. None for any other
// value.
std::vector<std::pair<Pickle::Value, Pickle::Value>> dictionary_entries(const Pickle& pickle,
                                                                        Pickle::Value value);
// The storage that a persistent node names. Throws Error, starting with `source`, if it is malformed.
PthStorage parse_storage(const Pickle& pickle, Pickle::Value value, std::string_view source);
// Whether `value` is a tensor, malformed or not.
bool is_tensor(const Pickle& pickle, Pickle::Value value);
// Nothing if `value` is no tensor. Throws Error, starting with `source`, if it is one but malformed or not
// within its storage.
std::optional<PthTensor> parse_tensor(const Pickle& pickle, Pickle::Value value, std::string_view source);
