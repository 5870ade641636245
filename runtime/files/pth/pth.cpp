#include "runtime/files/pth/pth.h"

#include <algorithm>
#include <functional>

#include "runtime/base/error.h"
#include "runtime/base/one_line.h"
#include "runtime/files/wrapped_names.h"

namespace {

using Kind = Pickle::Kind;

constexpr std::size_t max_name = 512;       // bytes
constexpr std::size_t max_metadata = 4096;  // entries: settings, not tables

// Of a tensor: short enough to be shown, in one line, in any language.
bool is_name(std::string_view text) {
    return text.size() <= max_name &&
           std::ranges::all_of(text, [](unsigned char c) { return c >= ' ' && c != 0x7f; });
}

// Of metadata, which are written to other files: ASCII as well.
bool is_plain(std::string_view text) {
    return is_name(text) && std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; });
}

}  // namespace

PthFile::PthFile(std::filesystem::path path) : TensorFile(std::move(path)) {
    PthContainer container = open_pth_container(path_);
    storages_ = std::move(container.storages);
    const Pickle& pickle = container.pickle;
    if (!is_dictionary(pickle, pickle.root()))
        fail("{}: holds no dictionary of tensors; of a whole module, save its state_dict()", path_.string());
    CheckpointDictionaries dictionaries(pickle, path_.string());
    if (dictionaries.tensors(pickle.root()) == 0)
        fail("{}: its dictionary holds no tensors; of a whole module, save its state_dict()", path_.string());
    const WeightDictionaries found = find_weights(pickle, dictionaries, path_.string());
    for (const Pickle::Value dictionary : found.around) add_metadata(pickle, dictionary);
    if (found.weights && found.weights->path.empty()) add_metadata(pickle, pickle.root());
    if (found.weights) add_dictionary(pickle, dictionaries, found.weights->value, "", 0);
    if (found.average)
        add_dictionary(pickle, dictionaries, found.average->value, std::string(average_prefix), 0);
    unwrap(found);
}

void PthFile::add_dictionary(const Pickle& pickle, CheckpointDictionaries& dictionaries,
                             Pickle::Value dictionary, const std::string& prefix, int depth) {
    if (depth > max_dictionary_depth)
        fail("{}: dictionaries nested deeper than {}", path_.string(), max_dictionary_depth);
    for (const auto& [key, value] : dictionaries.entries(dictionary)) {
        const bool nested = is_dictionary(pickle, value);
        if (nested ? dictionaries.tensors(value) == 0 : !is_tensor(pickle, value)) continue;
        if (nested && depth == 0 && prefix.empty() && is_average_key(key)) continue;
        const std::string name = prefix + std::string(key.substr(0, max_name + 1));
        if (!is_name(name))
            fail("{}: the name of tensor {} is {}", path_.string(), one_line(name.substr(0, 64)),
                 name.size() > max_name ? "too long" : "no plain text");
        if (nested) {
            add_dictionary(pickle, dictionaries, value, name + ".", depth + 1);
            continue;
        }
        const auto tensor = parse_tensor(pickle, value, path_.string() + ": tensor " + name);
        const std::uint64_t bytes = storages_->size(tensor->storage);
        if (bytes != tensor->storage_bytes)
            fail("{}: tensor {} has a storage of {} bytes, expected {}", path_.string(), name, bytes,
                 tensor->storage_bytes);
        entries_.insert_or_assign(name, *tensor);
    }
}

// Removes what wrappers put before all names, and an entry that only looks like the weights' average.
void PthFile::unwrap(const WeightDictionaries& found) {
    const UnwrappedNames unwrapped = unwrap_names(names());
    decltype(entries_) entries;
    for (const auto& [stored, name] : unwrapped.names)
        entries.emplace(name, std::move(entries_.extract(stored).mapped()));
    entries_ = std::move(entries);
    for (const auto& [prefix, removed] : unwrapped.removed) origins_[prefix].removed = removed;
    if (found.weights) origins_[""].entry = found.weights->path;
    if (found.average) origins_[std::string(average_prefix)].entry = found.average->path;
    if (!found.weights || !found.average) return;
    const auto averages = [](const auto& item) { return item.first.starts_with(average_prefix); };
    if (std::ranges::none_of(entries_, [&](const auto& item) {
            return averages(item) && entries_.contains(item.first.substr(average_prefix.size()));
        }))
        std::erase_if(entries_, averages);
}

// Numbers and texts beside the weights, and those of the settings "args".
void PthFile::add_metadata(const Pickle& pickle, Pickle::Value dictionary) {
    add_scalars(pickle, dictionary, "");
    for (const auto& [key, value] : dictionary_entries(pickle, dictionary))
        if (pickle.is_string(key, "args") && is_dictionary(pickle, value))
            add_scalars(pickle, value, "args.");
}

void PthFile::add_scalars(const Pickle& pickle, Pickle::Value dictionary, const std::string& prefix) {
    for (const auto& [key, value] : dictionary_entries(pickle, dictionary)) {
        if (!pickle.is(key, Kind::string) || !is_plain(pickle[key].text)) continue;
        const Pickle::Node& node = pickle[value];
        std::string text;
        if (node.kind == Kind::integer) text = std::to_string(node.integer);
        if (node.kind == Kind::boolean) text = node.integer != 0 ? "true" : "false";
        if (node.kind == Kind::real) text = fmt::format("{}", node.real);
        if (node.kind == Kind::string && is_plain(node.text)) text = node.text;
        if (!text.empty() && metadata_.size() < max_metadata)
            metadata_[prefix + std::string(pickle[key].text)] = text;
    }
}

const PthTensor& PthFile::entry(std::string_view name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) fail_missing(name);
    return found->second;
}

std::vector<std::string> PthFile::names() const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : entries_) names.push_back(name);
    return names;
}

void PthFile::read(std::string_view name, float* destination) const {
    const PthTensor& tensor = entry(name);
    if (!converts_to_float(tensor.type))
        fail("{}: tensor {} has dtype {}, expected real numbers", path_.string(), name,
             scalar_name(tensor.type));
    if (!tensor.unreadable.empty()) fail("{}: tensor {} is {}", path_.string(), name, tensor.unreadable);
    if (tensor.span == 0) return;
    if (tensor.contiguous())
        read_contiguous(tensor, destination);
    else
        read_strided(tensor, name, destination);
    if (tensor.negated) std::transform(destination, destination + tensor.count(), destination, std::negate());
}

void PthFile::read_contiguous(const PthTensor& tensor, float* destination) const {
    const std::size_t element = scalar_bytes(tensor.type);
    storages_->read(tensor.storage, tensor.offset, tensor.offset + tensor.span,
                    [&](std::span<const std::byte> piece) {
                        convert_to_float(tensor.type, piece.data(), piece.size() / element, destination);
                        destination += piece.size() / element;
                    });
}

void PthFile::read_strided(const PthTensor& tensor, std::string_view name, float* destination) const {
    // A tiny view with huge strides would make us buffer an arbitrary span: refused.
    constexpr std::uint64_t harmless = 1 << 26, most_ratio = 64;
    const std::size_t element = scalar_bytes(tensor.type), rank = tensor.shape.size();
    const auto count = static_cast<std::uint64_t>(tensor.count());
    if (tensor.span > harmless && tensor.span / most_ratio > count * element)
        fail("{}: tensor {} is strewn over {} bytes of its storage, too many for its {} elements",
             path_.string(), name, tensor.span, count);
    std::vector<std::byte> bytes;
    bytes.reserve(tensor.span);
    storages_->read(
        tensor.storage, tensor.offset, tensor.offset + tensor.span,
        [&](std::span<const std::byte> piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); });
    std::vector<std::int64_t> index(rank);
    std::int64_t place = 0;  // of `index`, in elements
    for (std::uint64_t i = 0; i < count; ++i) {
        convert_to_float(tensor.type, bytes.data() + static_cast<std::size_t>(place) * element, 1,
                         destination + i);
        for (std::size_t d = rank; d-- > 0;) {
            place += tensor.strides[d];
            if (++index[d] < tensor.shape[d]) break;
            place -= tensor.strides[d] * tensor.shape[d];
            index[d] = 0;
        }
    }
}
