#include "runtime/files/pth/pth.h"

#include <algorithm>
#include <optional>

#include "runtime/base/error.h"
#include "runtime/checkpoint/checkpoint.h"

namespace {

using Kind = Pickle::Kind;

constexpr int max_depth = 16;                // of dictionaries
constexpr std::size_t max_visits = 1 << 17;  // entries of dictionaries, however often each is met
constexpr std::size_t max_name = 512;        // bytes

// Entries of a checkpoint that hold no weights.
constexpr std::string_view skipped[] = {"optimizer", "scaler", "scheduler", "args"};

bool is_plain(std::string_view text) {
    return text.size() <= max_name && std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

std::optional<Pickle::Value> find_dictionary(const Pickle& pickle, Pickle::Value root, std::string_view key) {
    std::optional<Pickle::Value> found;
    for (const auto& [name, value] : dictionary_entries(pickle, root))
        if (pickle.is_string(name, key) && is_dictionary(pickle, value)) found = value;
    return found;
}

}  // namespace

PthFile::PthFile(std::filesystem::path path) : TensorFile(std::move(path)) {
    PthContainer container = open_pth_container(path_);
    storages_ = std::move(container.storages);
    const Pickle& pickle = container.pickle;
    const Pickle::Value root = pickle.root();
    if (!is_dictionary(pickle, root))
        fail("{}: holds no dictionary of tensors; of a whole module, save its state_dict()", path_.string());
    add_scalars(pickle, root, "");
    if (const auto arguments = find_dictionary(pickle, root, "args"))
        add_scalars(pickle, *arguments, "args.");
    auto weights = find_dictionary(pickle, root, "model");
    if (!weights) weights = find_dictionary(pickle, root, "state_dict");
    const auto average = find_dictionary(pickle, root, "model_ema");
    if (weights || !average) add_dictionary(pickle, weights.value_or(root), "", 0);
    if (average) add_dictionary(pickle, *average, std::string(average_prefix), 0);
    if (entries_.empty()) fail("{}: its dictionary holds no tensors", path_.string());
}

void PthFile::add_dictionary(const Pickle& pickle, Pickle::Value dictionary, const std::string& prefix,
                             int depth) {
    if (depth > max_depth) fail("{}: dictionaries nested deeper than {}", path_.string(), max_depth);
    const auto children = dictionary_entries(pickle, dictionary);
    visited_ += children.size();
    if (visited_ > max_visits) fail("{}: more than {} entries", path_.string(), max_visits);
    for (const auto& [key, value] : children) {
        if (!pickle.is(key, Kind::string)) continue;
        const std::string name = prefix + std::string(pickle[key].text.substr(0, max_name + 1));
        const bool nested = is_dictionary(pickle, value);
        if (nested && depth == 0 && std::ranges::find(skipped, name) != std::end(skipped)) continue;
        if (!is_plain(name)) fail("{}: a tensor's name that is too long or no plain text", path_.string());
        if (nested) {
            add_dictionary(pickle, value, name + ".", depth + 1);
            continue;
        }
        const auto tensor = parse_tensor(pickle, value, path_.string() + ": tensor " + name);
        if (!tensor) continue;
        const std::uint64_t bytes = storages_->size(tensor->storage);
        if (bytes != tensor->storage_bytes)
            fail("{}: tensor {} has a storage of {} bytes, expected {}", path_.string(), name, bytes,
                 tensor->storage_bytes);
        entries_.insert_or_assign(name, *tensor);
    }
}

void PthFile::add_scalars(const Pickle& pickle, Pickle::Value dictionary, const std::string& prefix) {
    for (const auto& [key, value] : dictionary_entries(pickle, dictionary)) {
        if (!pickle.is(key, Kind::string) || !is_plain(pickle[key].text)) continue;
        const Pickle::Node& node = pickle[value];
        std::string& text = metadata_[prefix + std::string(pickle[key].text)];
        if (node.kind == Kind::integer) text = std::to_string(node.integer);
        if (node.kind == Kind::boolean) text = node.integer != 0 ? "true" : "false";
        if (node.kind == Kind::real) text = fmt::format("{}", node.real);
        if (node.kind == Kind::string && is_plain(node.text)) text = node.text;
    }
    std::erase_if(metadata_, [](const auto& item) { return item.second.empty(); });
}

const PthTensor& PthFile::entry(std::string_view name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) fail("{}: has no tensor {}", path_.string(), name);
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
    if (tensor.span == 0) return;
    if (tensor.contiguous())
        read_contiguous(tensor, destination);
    else
        read_strided(tensor, name, destination);
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
    // A few numbers strewn over a storage are no parameter of anyone's, but a way to ask for any amount of
    // memory.
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
