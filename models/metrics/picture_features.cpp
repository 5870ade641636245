#include "models/metrics/picture_features.h"

#include <algorithm>
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

// Rows of every rank on rank 0, in the order of ranks; each has as many as its part of `count` is long.
void gather_rows(FeatureMatrix& matrix, std::int64_t count, const Comm& comm) {
    if (matrix.width == 0) return;
    const std::int64_t largest = (count + comm.ranks() - 1) / comm.ranks();
    const auto room = static_cast<std::size_t>(largest * matrix.width);
    matrix.values.resize(room);
    std::vector<float> all(comm.rank() == 0 ? room * static_cast<std::size_t>(comm.ranks()) : 0);
    comm.gather(matrix.values.data(), all.data(), room);
    matrix.values.clear();
    if (comm.rank() > 0) return;
    for (std::int64_t rank = 0; rank < comm.ranks(); ++rank) {
        const std::int64_t rows = count * (rank + 1) / comm.ranks() - count * rank / comm.ranks();
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(rank * static_cast<std::int64_t>(room));
        matrix.values.insert(matrix.values.end(), begin, begin + rows * matrix.width);
    }
}

}  // namespace

PictureFeatures features_of(const PictureSet& pictures, const OpenedFeatures& features, std::int64_t batch,
                            const Comm* comm, const CountProgress& progress) {
    const std::int64_t count = pictures.count, channels = features.network->channels(),
                       plane = pictures.size.height * pictures.size.width,
                       rank = comm != nullptr ? comm->rank() : 0, ranks = comm != nullptr ? comm->ranks() : 1,
                       begin = count * rank / ranks, end = count * (rank + 1) / ranks;
    FeatureExtractor extractor(*features.network, std::clamp<std::int64_t>(end - begin, 1, batch), channels,
                               pictures.size, pictures.name);
    for (std::int64_t first = begin; first < end; first += batch) {
        if (progress) progress((first - begin) * ranks, count);
        const std::int64_t n = std::min(batch, end - first);
        const auto add = [&](auto read) {
            extractor.add(with_channels(std::move(read), pictures.channels, channels, plane, pictures.name));
        };
        if (pictures.read_unrounded)
            add(pictures.read_unrounded(first, n));
        else
            add(pictures.read(first, n));
    }
    PictureFeatures measured{extractor.features(), extractor.logits()};
    if (ranks > 1) {
        gather_rows(measured.features, count, *comm);
        gather_rows(measured.logits, count, *comm);
    }
    return measured;
}
