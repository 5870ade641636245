#include "sample/picture_features.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "runtime/base/error.h"

namespace {

// Pictures [n, channels, height, width] from number `first` on.
using Pictures = std::function<std::vector<std::uint8_t>(std::int64_t first, std::int64_t n)>;

// Grey pictures as a network takes them: [n, from, plane] -> [n, to, plane]. Grey becomes RGB by repetition; RGB
// becomes grey where the three channels are equal. Throws UsageError for coloured pictures.
std::vector<std::uint8_t> with_channels(std::vector<std::uint8_t> pictures, std::int64_t from,
                                        std::int64_t to, std::int64_t plane, const std::string& source) {
    if (from == to) return pictures;
    std::vector<std::uint8_t> converted;
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
    if (comm.ranks() == 1 || matrix.width == 0) return;
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

PictureFeatures measure(FeatureExtractor& extractor, std::int64_t count, const Pictures& pictures,
                        const Comm& comm, const CountProgress& progress) {
    const std::int64_t begin = count * comm.rank() / comm.ranks(),
                       end = count * (comm.rank() + 1) / comm.ranks();
    for (std::int64_t first = begin; first < end; first += extractor.batch()) {
        progress((first - begin) * comm.ranks(), count);
        extractor.add(pictures(first, std::min(extractor.batch(), end - first)));
    }
    PictureFeatures measured{extractor.features(), extractor.logits()};
    gather_rows(measured.features, count, comm);
    gather_rows(measured.logits, count, comm);
    return measured;
}

}  // namespace

PictureFeatures features_of(const PictureSource& pictures, std::int64_t count, const OpenedFeatures& features,
                            std::int64_t batch, const Comm& comm, const CountProgress& progress) {
    const std::int64_t channels = features.network->channels();
    FeatureExtractor extractor(*features.network, std::min(batch, count), channels,
                               {pictures.height(), pictures.width()}, pictures.name());
    return measure(
        extractor, count,
        [&](std::int64_t first, std::int64_t n) {
            std::vector<std::uint8_t> pixels(static_cast<std::size_t>(n * pictures.picture_bytes()));
            pictures.read(first, n, pixels);
            return with_channels(std::move(pixels), pictures.channels(), channels,
                                 std::int64_t{pictures.height()} * pictures.width(), pictures.name());
        },
        comm, progress);
}

PictureFeatures features_of(PictureDrawer& drawer, std::span<const std::int64_t> classes, std::int64_t count,
                            std::uint64_t seed, const OpenedFeatures& features, std::int64_t batch,
                            const Comm& comm, const CountProgress& progress) {
    const std::int64_t channels = features.network->channels(), size = drawer.image_size();
    FeatureExtractor extractor(*features.network, std::min(batch, count), channels, {size, size},
                               "the model");
    return measure(
        extractor, count,
        [&](std::int64_t first, std::int64_t n) {
            std::vector<std::int64_t> chosen;
            for (std::int64_t i = first; i < first + n; ++i)
                chosen.push_back(classes[static_cast<std::size_t>(i) % classes.size()]);
            return with_channels(drawer.draw(chosen, first, seed), drawer.channels(), channels, size * size,
                                 "the model");
        },
        comm, progress);
}
