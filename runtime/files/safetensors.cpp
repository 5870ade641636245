#include "runtime/files/safetensors.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/scalar_type.h"
#include "runtime/files/wrapped_names.h"

namespace {

// Elements of `shape`, or -1 if a size is negative or the product is absurd.
std::int64_t element_count(const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape)
        if (size < 0 || __builtin_mul_overflow(count, size, &count) || count > (std::int64_t{1} << 48))
            return -1;
    return count;
}

}  // namespace

std::uint32_t checksum(std::span<const std::byte> data) {
    return static_cast<std::uint32_t>(
        crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : TensorFile(std::move(path)), file_(path_) {
    const std::string_view bytes(reinterpret_cast<const char*>(file_.bytes().data()), file_.bytes().size());
    std::uint64_t header_bytes = 0;
    if (bytes.size() >= sizeof header_bytes) std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
    const bool begins_header = bytes.size() > 8 && bytes[8] == '{' && header_bytes < std::uint64_t{1} << 40;
    if (begins_header && header_bytes > bytes.size() - 8)
        fail("{}: cut off: its header should have {} bytes, the file has {}", path_.string(), header_bytes,
             bytes.size());
    if (!begins_header) {
        const std::string kind = foreign_kind(bytes, bytes.size());
        fail("{}: {}", path_.string(), kind.empty() ? "neither a safetensors file nor torch's (.pth)" : kind);
    }
    data_begin_ = 8 + static_cast<std::size_t>(header_bytes);
    parse(bytes.substr(8, header_bytes), bytes.size() - data_begin_);
}

void SafetensorsFile::parse(std::string_view header, std::size_t data_bytes) {
    const nlohmann::json json = parse_json_or_discard(header, path_.string() + ": its header");
    if (json.is_discarded() || !json.is_object()) fail("{}: its header is not a JSON object", path_.string());
    for (const auto& [name, value] : json.items()) {
        try {
            if (name == "__metadata__") {
                if (!value.is_null()) metadata_ = value.get<std::map<std::string, std::string>>();
                continue;
            }
            SafetensorsEntry entry;
            const nlohmann::json &sizes = value.at("shape"), &places = value.at("data_offsets");
            // The JSON library would make some whole number of 2.5 and 1e300.
            if (!holds_a<std::vector<std::int64_t>>(sizes) || !holds_a<std::vector<std::uint64_t>>(places))
                fail("{}: the header's entry {} is malformed", path_.string(), name);
            value.at("dtype").get_to(entry.dtype);
            sizes.get_to(entry.shape);
            const auto offsets = places.get<std::vector<std::uint64_t>>();
            const std::int64_t count = element_count(entry.shape);
            const auto type = safetensors_type(entry.dtype);
            if (!type) fail("{}: tensor {} has the unknown dtype {}", path_.string(), name, entry.dtype);
            if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes)
                fail("{}: tensor {} does not lie within the file's {} bytes of data; is it cut off?",
                     path_.string(), name, data_bytes);
            entry.begin = offsets[0];
            entry.bytes = offsets[1] - offsets[0];
            if (count < 0 || static_cast<std::size_t>(count) * scalar_bytes(*type) != entry.bytes)
                fail("{}: tensor {} has {} bytes, which is not what its shape and dtype say", path_.string(),
                     name, entry.bytes);
            entry.stored_name = name;
            entries_.emplace(name, std::move(entry));
        } catch (const nlohmann::json::exception&) {
            fail("{}: the header's entry {} is malformed", path_.string(), name);
        }
    }
    unwrap();
}

void SafetensorsFile::unwrap() {
    const UnwrappedNames unwrapped = unwrap_names(names());
    std::map<std::string, SafetensorsEntry> entries;
    for (const auto& [stored, name] : unwrapped.names)
        entries.emplace(name, std::move(entries_.extract(stored).mapped()));
    entries_ = std::move(entries);
    for (const auto& [prefix, removed] : unwrapped.removed) origins_[prefix] = {"", removed};
}

const SafetensorsEntry& SafetensorsFile::entry(std::string_view name) const {
    const auto found = entries_.find(std::string(name));
    if (found == entries_.end()) fail_missing(name);
    return found->second;
}

std::vector<std::string> SafetensorsFile::names() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) names.push_back(name);
    return names;
}

void SafetensorsFile::read(std::string_view name, float* destination) const {
    const SafetensorsEntry& found = entry(name);
    const ScalarType type = *safetensors_type(found.dtype);
    if (type != ScalarType::float32 && type != ScalarType::float64 && type != ScalarType::float16 &&
        type != ScalarType::bfloat16)
        fail("{}: tensor {} has dtype {}, expected F32 (or F64, F16, BF16)", path_.string(), name,
             found.dtype);
    const auto data = bytes(name);
    const auto stored = metadata_.find(std::string(checksum_prefix) + found.stored_name);
    if (stored != metadata_.end() && stored->second != fmt::format("{:08x}", checksum(data)))
        fail("{}: tensor {} is damaged: its CRC-32 is {:08x}, stored with it is {}", path_.string(), name,
             checksum(data), stored->second);
    convert_to_float(type, data.data(), data.size() / scalar_bytes(type), destination);
}

std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
    const SafetensorsEntry& found = entry(name);
    return file_.bytes().subspan(data_begin_ + found.begin, found.bytes);
}

template <class T>
std::span<const T> SafetensorsFile::typed(std::string_view name, std::string_view dtype) const {
    const SafetensorsEntry& found = entry(name);
    if (found.dtype != dtype)
        fail("{}: tensor {} has dtype {}, expected {}", path_.string(), name, found.dtype, dtype);
    const auto data = bytes(name);
    if (reinterpret_cast<std::uintptr_t>(data.data()) % alignof(T) != 0)
        fail("{}: tensor {} is not aligned to {} bytes", path_.string(), name, alignof(T));
    return {reinterpret_cast<const T*>(data.data()), data.size() / sizeof(T)};
}

template std::span<const float> SafetensorsFile::typed<float>(std::string_view, std::string_view) const;
template std::span<const std::uint8_t> SafetensorsFile::typed<std::uint8_t>(std::string_view,
                                                                            std::string_view) const;

std::vector<std::int64_t> SafetensorsFile::integers(std::string_view name) const {
    if (entry(name).dtype != "I64")
        fail("{}: tensor {} has dtype {}, expected I64", path_.string(), name, entry(name).dtype);
    const auto data = bytes(name);
    std::vector<std::int64_t> values(data.size() / 8);
    std::memcpy(values.data(), data.data(), data.size());
    return values;
}

void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
    nlohmann::ordered_json header;
    header["__metadata__"] = metadata;
    std::size_t offset = 0;
    for (const SafetensorsTensor& tensor : tensors) {
        header[tensor.name] = {{"dtype", tensor.dtype},
                               {"shape", tensor.shape},
                               {"data_offsets", {offset, offset + tensor.data.size()}}};
        offset += tensor.data.size();
    }
    std::string text = json_text(header);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const std::uint64_t header_bytes = text.size();
    AtomicFile file(path);
    file.write(&header_bytes, 8);
    file.write(text);
    for (const SafetensorsTensor& tensor : tensors) file.write(tensor.data.data(), tensor.data.size());
    file.commit();
}
