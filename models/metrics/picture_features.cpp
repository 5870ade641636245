#include "models/metrics/picture_features.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>

#include "runtime/base/error.h"

namespace {

// Grey pictures as a network takes them: [n, from, plane] -> [n, to, plane]. Grey becomes RGB by repetition; RGB
// becomes grey where the three channels are equal. Throws UsageError for coloured pictures.
template <class Value>
std::vector<Value> with_channels(std::vector<Value> pictures, std::int64_t from, std::int64_t to,
                                 std::int64_t plane, const std::string& source) {
    if (from == to) return pictures;
    std::vector<Value> converted;
    for (auto at = pictures.begin(); at != pictures.end(); at += from * plane) {
        for (std::int64_t c = 1; c < from; ++c)
            if (!std::equal(at, at + plane, at + c * plane))
                fail_usage("{}: pictures in colour; the feature network was trained on grey ones", source);
        for (std::int64_t c = 0; c < to; ++c) converted.insert(converted.end(), at, at + plane);
    }
    return converted;
}

// The first picture of a rank's part, whose end is that of the next one.
std::int64_t part_begin(const PictureSet& pictures, std::int64_t rank, std::int64_t ranks) {
    return pictures.count / pictures.together * rank / ranks * pictures.together;
}

// Rows of every rank on rank 0, in the order of ranks; each has as many as its part of the pictures.
void gather_rows(FeatureMatrix& matrix, const PictureSet& pictures, const Comm& comm) {
    if (matrix.width == 0) return;
    const auto part = [&](std::int64_t rank) {
        return part_begin(pictures, rank + 1, comm.ranks()) - part_begin(pictures, rank, comm.ranks());
    };
    std::int64_t largest = 0;
    for (std::int64_t rank = 0; rank < comm.ranks(); ++rank) largest = std::max(largest, part(rank));
    const auto room = static_cast<std::size_t>(largest * matrix.width);
    matrix.values.resize(room);
    std::vector<float> all(comm.rank() == 0 ? room * static_cast<std::size_t>(comm.ranks()) : 0);
    comm.gather(matrix.values.data(), all.data(), room);
    matrix.values.clear();
    if (comm.rank() > 0) return;
    for (std::int64_t rank = 0; rank < comm.ranks(); ++rank) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(rank * static_cast<std::int64_t>(room));
        matrix.values.insert(matrix.values.end(), begin, begin + part(rank) * matrix.width);
    }
}

}  // namespace

std::vector<PictureFeatures> features_of(const PictureSet& pictures,
                                         std::span<const OpenedFeatures* const> networks, std::int64_t batch,
                                         const Comm* comm, const CountProgress& progress) {
    const std::int64_t count = pictures.count, plane = pictures.size.height * pictures.size.width,
                       rank = comm != nullptr ? comm->rank() : 0, ranks = comm != nullptr ? comm->ranks() : 1,
                       begin = part_begin(pictures, rank, ranks), end = part_begin(pictures, rank + 1, ranks);
    std::deque<FeatureExtractor> extractors;
    for (const OpenedFeatures* features : networks)
        extractors.emplace_back(*features->network, std::clamp<std::int64_t>(end - begin, 1, batch),
                                features->network->channels(), pictures.size, pictures.name);
    const auto add = [&](const auto& read) {
        for (std::size_t i = 0; i < networks.size(); ++i)
            extractors[i].add(with_channels(read, pictures.channels, networks[i]->network->channels(), plane,
                                            pictures.name));
    };
    for (std::int64_t first = begin; first < end; first += batch) {
        if (progress) progress((first - begin) * ranks, count);
        const std::int64_t n = std::min(batch, end - first);
        if (pictures.read_unrounded)
            add(pictures.read_unrounded(first, n));
        else
            add(pictures.read(first, n));
    }
    std::vector<PictureFeatures> measured;
    for (FeatureExtractor& extractor : extractors) {
        measured.push_back({extractor.features(), extractor.logits()});
        if (ranks == 1) continue;
        gather_rows(measured.back().features, pictures, *comm);
        gather_rows(measured.back().logits, pictures, *comm);
    }
    return measured;
}

PictureFeatures features_of(const PictureSet& pictures, const OpenedFeatures& features, std::int64_t batch,
                            const Comm* comm, const CountProgress& progress) {
    const OpenedFeatures* const network = &features;
    return features_of(pictures, std::span(&network, 1), batch, comm, progress).front();
}
