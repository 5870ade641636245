#include "tests/unit/runtime/files/pth/pth_writer.h"

#include <fmt/format.h>
#include <zip.h>

#include <stdexcept>

namespace pth_writer {

namespace {

std::string little_endian(std::uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i & 0xff);
    return text;
}

std::string joined(const std::vector<std::string>& items) {
    std::string all;
    for (const std::string& item : items) all += item;
    return all;
}

std::string set_items(const Pairs& pairs) {
    std::string items = "(";
    for (const auto& [key, value] : pairs) items += text(key) + value;
    return items + "u";
}

}  // namespace

std::string none() {
    return "N";
}

std::string text(std::string_view content) {
    return joined({"X", little_endian(content.size(), 4), std::string(content)});
}

std::string integer(std::int64_t value) {
    return joined({"\x8a\x08", little_endian(static_cast<std::uint64_t>(value), 8)});
}

std::string tuple(const std::vector<std::string>& items) {
    return joined({"(", joined(items), "t"});
}

std::string list(const std::vector<std::string>& items) {
    return joined({"](", joined(items), "e"});
}

std::string global(std::string_view module, std::string_view name) {
    return fmt::format("c{}\n{}\n", module, name);
}

std::string call(const std::string& callee, const std::vector<std::string>& arguments) {
    return joined({callee, tuple(arguments), "R"});
}

std::string dictionary(const Pairs& pairs) {
    return joined({"}", set_items(pairs)});
}

std::string ordered_dictionary(const Pairs& pairs) {
    return call(global("collections", "OrderedDict"), {}) + set_items(pairs);
}

std::string name_space(const Pairs& pairs) {
    return global("argparse", "Namespace") + ")\x81" + dictionary(pairs) + "b";
}

std::string sizes(const Sizes& values) {
    std::vector<std::string> items;
    for (const std::int64_t value : values) items.push_back(integer(value));
    return tuple(items);
}

std::string storage(std::string_view type, std::string_view key, std::int64_t elements) {
    return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(elements)}) + "Q";
}

std::string tensor(const std::string& storage, std::int64_t offset, const Sizes& shape,
                   const Sizes& strides) {
    return call(global("torch._utils", "_rebuild_tensor_v2"),
                {storage, integer(offset), sizes(shape), sizes(strides), "\x89",
                 call(global("collections", "OrderedDict"), {})});
}

std::string float_tensor(std::string_view key, const Sizes& shape) {
    Sizes strides(shape.size());
    std::int64_t count = 1;
    for (std::size_t i = shape.size(); i-- > 0; count *= shape[i]) strides[i] = count;
    return tensor(storage("FloatStorage", key, count), 0, shape, strides);
}

std::string pickle(const std::string& value, int protocol) {
    return joined({"\x80", std::string(1, static_cast<char>(protocol)), value, "."});
}

void write_zip(const std::filesystem::path& path, const std::vector<Entry>& entries) {
    int code = 0;
    zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (archive == nullptr) throw std::runtime_error(path.string() + " cannot be written");
    for (const Entry& entry : entries) {
        zip_source_t* source = zip_source_buffer(archive, entry.content.data(), entry.content.size(), 0);
        const zip_int64_t index = zip_file_add(archive, entry.name.c_str(), source, 0);
        const auto method = entry.packed ? ZIP_CM_DEFLATE : ZIP_CM_STORE;
        if (index < 0 || zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), method, 0) != 0)
            throw std::runtime_error(entry.name + " cannot be added");
    }
    if (zip_close(archive) != 0) throw std::runtime_error(path.string() + " cannot be written");
}

void write_pth(const std::filesystem::path& path, const std::string& object,
               const std::vector<Storage>& storages, bool packed) {
    std::vector<Entry> entries{{"archive/data.pkl", pickle(object), packed}, {"archive/byteorder", "little"}};
    for (const Storage& storage : storages)
        entries.push_back({"archive/data/" + storage.key, storage.bytes, packed});
    entries.push_back({"archive/version", "3\n"});
    write_zip(path, entries);
}

std::string older_form(const std::string& object, const std::vector<Storage>& storages, int protocol) {
    static const std::string magic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
    std::vector<std::string> keys;
    for (const Storage& storage : storages) keys.push_back(text(storage.key));
    std::string file =
        pickle(magic, protocol) + pickle(integer(1001), protocol) +
        pickle(dictionary({{"protocol_version", integer(1001)}, {"little_endian", "\x88"}}), protocol) +
        pickle(object, protocol) + pickle(list(keys), protocol);
    for (const Storage& storage : storages)
        file += little_endian(storage.bytes.size() / static_cast<std::size_t>(storage.element), 8) +
                storage.bytes;
    return file;
}

}  // namespace pth_writer
