#include "runtime/checkpoint/sharded_checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/model_kind.h"
#include "runtime/files/mapped_file.h"

namespace {

constexpr const char* rank_mark = ".rank-";

std::filesystem::path shard_path(const std::filesystem::path& checkpoint, int rank, int ranks) {
    return checkpoint.parent_path() / fmt::format("{}{}{}-of-{}{}", checkpoint.stem().string(), rank_mark,
                                                  rank, ranks, checkpoint.extension().string());
}

// Of the header, which holds the checksums of the tensors.
std::uint32_t header_checksum(const std::filesystem::path& path) {
    const MappedFile file(path);
    std::uint64_t header_bytes = 0;
    if (file.bytes().size() >= sizeof header_bytes)
        std::memcpy(&header_bytes, file.bytes().data(), sizeof header_bytes);
    return checksum(
        file.bytes().first(std::min<std::size_t>(file.bytes().size(), sizeof header_bytes + header_bytes)));
}

// Elements begin, begin + 1, ... of a parameter's state.
struct StatePiece {
    const SafetensorsFile* file;
    std::string tensor;
    std::int64_t begin, count;
};

// Index of a checkpoint's optimizer state under one prefix, by parameter.
class StateIndex {
  public:
    StateIndex(const SafetensorsFile& checkpoint, std::string_view prefix) : prefix_(prefix) {
        add(checkpoint);
        if (!checkpoint.metadata().contains(shards_key)) return;
        const std::string name = checkpoint.path().string();
        // If the path is a link (last.safetensors), the shards are in the folder of its target.
        const auto folder = std::filesystem::canonical(checkpoint.path()).parent_path();
        const auto list = parse_json_or_discard(checkpoint.metadata(shards_key), name + ": " + shards_key);
        try {
            for (const auto& entry : list) open(folder / entry.at("file").get<std::string>(), entry);
        } catch (const nlohmann::json::exception&) {
            fail("{}: its list of shards is malformed", name);
        }
    }

    const std::vector<StatePiece>& of(const std::string& parameter) const {
        static const std::vector<StatePiece> none;
        const auto found = pieces_.find(parameter);
        return found == pieces_.end() ? none : found->second;
    }

  private:
    void open(const std::filesystem::path& path, const nlohmann::json& entry) {
        if (!holds_a<std::uint64_t>(entry.at("bytes")) || !holds_a<std::uint32_t>(entry.at("crc32")))
            fail("{}: is listed with a size or checksum that is no whole number", path.string());
        const auto& file = *files_.emplace_back(std::make_unique<SafetensorsFile>(path));
        if (std::filesystem::file_size(path) != entry.at("bytes").get<std::uint64_t>() ||
            header_checksum(path) != entry.at("crc32").get<std::uint32_t>())
            fail("{}: is not the file that its checkpoint names, but of another moment", path.string());
        add(file);
    }

    void add(const SafetensorsFile& file) {
        for (const std::string& name : file.names()) {
            if (!name.starts_with(prefix_)) continue;
            std::string parameter = name.substr(prefix_.size());
            std::int64_t begin = 0, count = 1;
            if (const std::size_t slash = parameter.rfind('/'); slash != std::string::npos) {
                std::from_chars(parameter.data() + slash + 1, parameter.data() + parameter.size(), begin);
                parameter.resize(slash);
            }
            for (const std::int64_t size : file.shape(name)) count *= size;
            constexpr std::int64_t absurd = std::int64_t{1} << 48;
            if (begin >= 0 && begin < absurd) pieces_[parameter].push_back({&file, name, begin, count});
        }
    }

    std::string prefix_;
    std::vector<std::unique_ptr<SafetensorsFile>> files_;
    std::map<std::string, std::vector<StatePiece>> pieces_;
};

void load_segment(const StateIndex& index, const Segment& segment, float* destination,
                  const std::string& source) {
    std::int64_t missing = segment.count;
    std::vector<float> values;
    for (const StatePiece& piece : index.of(segment.parameter->name)) {
        const std::int64_t from = std::max(piece.begin, segment.begin),
                           to = std::min(piece.begin + piece.count, segment.begin + segment.count);
        if (from >= to) continue;
        values.resize(static_cast<std::size_t>(piece.count));
        piece.file->read(piece.tensor, values.data());
        std::copy_n(values.begin() + (from - piece.begin), to - from, destination + (from - segment.begin));
        missing -= to - from;
    }
    if (missing != 0)
        fail("{}: the optimizer's state of {} is incomplete: {} of {} elements are missing", source,
             segment.parameter->name, missing, segment.count);
}

}  // namespace

std::string write_shards(const std::filesystem::path& checkpoint, const Comm& comm,
                         std::span<const Segment> segments, std::span<const StateSlab> slabs, Device device) {
    const auto path = shard_path(checkpoint, comm.rank(), comm.ranks());
    CheckpointWriter writer;
    for (const StateSlab& slab : slabs)
        for (const Segment& segment : segments)
            writer.add(fmt::format("{}{}/{}", slab.prefix, segment.parameter->name, segment.begin),
                       {segment.count}, slab.values + segment.place, device);
    writer.set("format", format_of(shard_kind));
    writer.set("checkpoint", checkpoint.filename().string());
    writer.write(path);

    const auto ranks = static_cast<std::size_t>(comm.ranks()), rank = static_cast<std::size_t>(comm.rank());
    std::vector<double> sizes(ranks), checksums(ranks);
    sizes[rank] = static_cast<double>(std::filesystem::file_size(path));
    checksums[rank] = header_checksum(path);
    comm.sum(sizes);
    comm.sum(checksums);
    nlohmann::ordered_json list;
    for (std::size_t i = 0; i < ranks; ++i)
        list.push_back(
            {{"file", shard_path(checkpoint, static_cast<int>(i), comm.ranks()).filename().string()},
             {"bytes", static_cast<std::uint64_t>(sizes[i])},
             {"crc32", static_cast<std::uint32_t>(checksums[i])}});
    return json_text(list);
}

void load_state(const SafetensorsFile& checkpoint, std::span<const Segment> segments, std::string_view prefix,
                float* destination, Device device) {
    const StateIndex index(checkpoint, prefix);
    const std::string source = checkpoint.path().string();
    std::vector<float> host;
    for (const Segment& segment : segments) {
        if (device == Device::cpu) {
            load_segment(index, segment, destination + segment.place, source);
            continue;
        }
        host.resize(static_cast<std::size_t>(segment.count));
        load_segment(index, segment, host.data(), source);
        copy_to_device(device, destination + segment.place, host.data(), host.size() * sizeof(float));
    }
}

void remove_orphaned_shards(const std::filesystem::path& folder) {
    static const std::regex shard_ending("\\.rank-[0-9]+-of-[0-9]+");
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        const std::string stem = entry.path().stem().string();
        const std::size_t rank = stem.rfind(rank_mark);
        if (rank == std::string::npos || entry.path().extension() != ".safetensors" ||
            !std::regex_match(stem.substr(rank), shard_ending))
            continue;
        const auto checkpoint = folder / (stem.substr(0, rank) + entry.path().extension().string());
        if (!std::filesystem::exists(checkpoint)) std::filesystem::remove(entry.path(), ignored);
    }
}
