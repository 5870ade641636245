#include "runtime/files/pth/pth_container.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "runtime/base/error.h"
#include "runtime/base/one_line.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/mapped_file.h"
#include "runtime/files/pth/pth_tensor.h"
#include "runtime/files/zip_archive.h"

namespace {

enum class Form { unknown, zip, pickles, tar };

// The pickled number that the older form starts with, 0x1950a86a20f9469cfc6c, in binary and in digits.
constexpr std::string_view magic_bytes("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr std::string_view magic_digits = "119547037146038801333356";
constexpr std::size_t tar_magic_offset = 257;
constexpr std::uint64_t small_pickle = std::uint64_t{1} << 26;  // bytes that any file's may unpack to

Form form_of(std::string_view start) {
    if (start.starts_with("PK\x03\x04") || start.starts_with("PK\x05\x06")) return Form::zip;
    const std::size_t magic = start.substr(0, 24).find(magic_bytes);
    if (start.starts_with('\x80') && magic != std::string_view::npos) return Form::pickles;
    if (start.starts_with("L" + std::string(magic_digits))) return Form::pickles;
    if (start.size() > tar_magic_offset && start.substr(tar_magic_offset).starts_with("ustar"))
        return Form::tar;
    return Form::unknown;
}

// Storages as entries FOLDER/data/KEY of a zip archive.
class ZipStorages : public StorageSource {
  public:
    ZipStorages(std::shared_ptr<const ZipArchive> archive, std::string folder)
        : archive_(std::move(archive)), folder_(std::move(folder)) {}

    std::uint64_t size(const std::string& key) const override { return archive_->size(entry(key)); }
    void read(const std::string& key, std::uint64_t begin, std::uint64_t end,
              const Take& take) const override {
        archive_->read(entry(key), begin, end, take);
    }

  private:
    std::string entry(const std::string& key) const { return folder_ + "data/" + key; }

    std::shared_ptr<const ZipArchive> archive_;
    std::string folder_;
};

// Storages within a mapped file.
class MappedStorages : public StorageSource {
  public:
    MappedStorages(std::shared_ptr<const MappedFile> file, std::string source)
        : file_(std::move(file)), source_(std::move(source)) {}

    void add(const std::string& key, std::uint64_t begin, std::uint64_t bytes) {
        places_[key] = file_->bytes().subspan(begin, bytes);
    }
    std::uint64_t size(const std::string& key) const override { return find(key).size(); }
    void read(const std::string& key, std::uint64_t begin, std::uint64_t end,
              const Take& take) const override {
        take(find(key).subspan(begin, end - begin));
    }

  private:
    std::span<const std::byte> find(const std::string& key) const {
        const auto found = places_.find(key);
        if (found == places_.end()) fail("{}: has no storage {}", source_, key);
        return found->second;
    }

    std::shared_ptr<const MappedFile> file_;
    std::string source_;
    std::unordered_map<std::string, std::span<const std::byte>> places_;
};

void refuse_big_endian(const std::string& source) {
    fail("{}: its numbers are big-endian, expected little-endian", source);
}

std::string read_small_entry(const ZipArchive& archive, const std::string& entry, std::uint64_t limit,
                             const std::string& source) {
    const std::uint64_t bytes = archive.size(entry);
    if (bytes > limit)
        fail("{}: its entry {} unpacks to {} bytes, expected at most {} in a file of this length", source,
             entry, bytes, limit);
    std::string text;
    archive.read(entry, 0, bytes, [&](std::span<const std::byte> piece) {
        text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    });
    return text;
}

// A checkpoint in a zip archive, or another program's zip.
[[noreturn]] void refuse_foreign_zip(const ZipArchive& archive, const std::string& source) {
    for (const std::string_view ending : {".pth", ".pt", ".ckpt", ".safetensors", ".bin", ".tar", ".npy"})
        if (const auto entry = archive.find_suffix(ending))
            fail("{}: a zip archive that holds {}{}", source, one_line(*entry),
                 ending == ".npy" ? ", NumPy's .npz, which is not read: expected .safetensors or .pth"
                                  : ": unzip it and give that file");
    fail("{}: a zip archive, but not torch's: it has no entry data.pkl", source);
}

PthContainer open_zip(const std::filesystem::path& path) {
    const std::string source = path.string();
    const auto archive = std::make_shared<const ZipArchive>(path);
    const auto pickle_entry = archive->find_ending("data.pkl");
    if (!pickle_entry) refuse_foreign_zip(*archive, source);
    const std::string folder = pickle_entry->substr(0, pickle_entry->size() - std::strlen("data.pkl"));
    if (archive->contains(folder + "byteorder") &&
        read_small_entry(*archive, folder + "byteorder", 16, source) != "little")
        refuse_big_endian(source);
    const std::uint64_t file_bytes = std::filesystem::file_size(path);
    const auto text = std::make_shared<const std::string>(
        read_small_entry(*archive, *pickle_entry, std::max(small_pickle, file_bytes), source));
    return {text, Pickle(*text, source, Pickle::limit_for(file_bytes)),
            std::make_unique<ZipStorages>(archive, folder)};
}

// Of the pickle with the writer's properties.
void require_little_endian(const Pickle& system, const std::string& source) {
    if (!is_dictionary(system, system.root()))
        fail("{}: cut off or damaged: its third pickle is no dictionary", source);
    for (const auto& [key, value] : dictionary_entries(system, system.root()))
        if (system.is_string(key, "little_endian") && system[value].integer == 0) refuse_big_endian(source);
}

// The older form: pickles of the magic number, the protocol's version, the writer's properties, the object,
// and the list of storage keys; then for every key the number of elements as int64, and their bytes.
PthContainer open_pickles(const std::filesystem::path& path) {
    const std::string source = path.string();
    const auto file = std::make_shared<const MappedFile>(path);
    const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
    std::size_t position = 0;
    const auto next = [&] {
        Pickle pickle(bytes.substr(position), source, Pickle::limit_for(bytes.size()));
        position += pickle.size();
        return pickle;
    };
    const Pickle magic = next(), version = next();
    if (magic[magic.root()].text != magic_bytes && magic[magic.root()].text != magic_digits)
        fail("{}: not a torch file", source);
    if (version[version.root()].integer != 1001)
        fail("{}: torch's format {}, expected 1001", source, version[version.root()].integer);
    require_little_endian(next(), source);
    Pickle object = next();
    const Pickle keys = next();

    std::unordered_map<std::string_view, Pickle::Value> named;
    for (Pickle::Value i = 0; i < object.nodes(); ++i)
        if (object.is(i, Pickle::Kind::persistent)) {
            const Pickle::Node& id = object[object[i].head];
            if (id.items.size() > 2) named.emplace(object[id.items[2]].text, i);
        }
    auto storages = std::make_unique<MappedStorages>(file, source);
    for (const Pickle::Value item : keys[keys.root()].items) {
        const auto found = named.find(keys[item].text);
        if (found == named.end()) fail("{}: a storage that no tensor uses", source);
        const PthStorage storage = parse_storage(object, found->second, source);
        std::int64_t count = 0;
        if (bytes.size() - position < sizeof count)
            fail("{}: cut off: storage {} is missing", source, storage.key);
        std::memcpy(&count, bytes.data() + position, sizeof count);
        position += sizeof count;
        if (count != storage.total)
            fail("{}: storage {} has {} elements, expected {}", source, storage.key, count, storage.total);
        if (storage.bytes() > bytes.size() - position)
            fail("{}: cut off: storage {} has {} bytes, expected {}", source, storage.key,
                 bytes.size() - position, storage.bytes());
        storages->add(storage.key, position, storage.bytes());
        position += storage.bytes();
    }
    return {file, std::move(object), std::move(storages)};
}

// Torch's own tar archives start with one of these entries.
[[noreturn]] void refuse_tar(std::string_view start, const std::string& source) {
    const std::string_view name = start.substr(0, std::min(start.find('\0'), std::size_t{100}));
    for (const std::string_view own : {"sys_info", "pickle", "tensors", "storages"})
        if (name == own)
            fail("{}: a tar archive, as torch wrote before version 0.1.10: load and save it with a newer one",
                 source);
    fail("{}: a tar archive, not a checkpoint: unpack it (tar xf) and give the file in it, perhaps {}",
         source, one_line(name));
}

}  // namespace

bool looks_like_pth(std::string_view start) {
    return form_of(start) != Form::unknown;
}

PthContainer open_pth_container(const std::filesystem::path& path) {
    const std::string start = read_start(path);
    switch (form_of(start)) {
        case Form::zip:
            return open_zip(path);
        case Form::pickles:
            return open_pickles(path);
        case Form::tar:
            refuse_tar(start, path.string());
        case Form::unknown:
            break;
    }
    MappedFile{path};  // throws Error if the file cannot be opened
    fail("{}: not a torch file: it starts neither as a zip archive nor with torch's magic number",
         path.string());
}
