// Torch checkpoints for tests, put together byte by byte: pickles from their opcodes, and the containers
// around them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pth_writer {

// Opcodes that push one value.
std::string none();
std::string text(std::string_view content);
std::string integer(std::int64_t value);  // LONG1
std::string tuple(const std::vector<std::string>& items);
std::string list(const std::vector<std::string>& items);
std::string global(std::string_view module, std::string_view name);
std::string call(const std::string& callee, const std::vector<std::string>& arguments);

using Pairs = std::vector<std::pair<std::string, std::string>>;  // key as plain text, value as opcodes
std::string dictionary(const Pairs& pairs);
std::string ordered_dictionary(const Pairs& pairs);
std::string name_space(const Pairs& pairs);  // argparse.Namespace

using Sizes = std::vector<std::int64_t>;
std::string sizes(const Sizes& values);
std::string storage(std::string_view type, std::string_view key, std::int64_t elements);
std::string tensor(const std::string& storage, std::int64_t offset, const Sizes& shape, const Sizes& strides);
// A contiguous tensor of fp32, alone in its storage.
std::string float_tensor(std::string_view key, const Sizes& shape);

// A whole pickle: PROTO, the value, STOP.
std::string pickle(const std::string& value, int protocol = 2);

struct Entry {
    std::string name, content;
    bool packed = false;
};
// Replaces the file at `path`.
void write_zip(const std::filesystem::path& path, const std::vector<Entry>& entries);
// Storages by key, their bytes, and bytes per element.
struct Storage {
    std::string key, bytes;
    std::int64_t element = 4;
};
void write_pth(const std::filesystem::path& path, const std::string& object,
               const std::vector<Storage>& storages, bool packed = false);
// The form without zip.
std::string older_form(const std::string& object, const std::vector<Storage>& storages, int protocol = 2);

template <class T>
std::string bytes_of(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace pth_writer
