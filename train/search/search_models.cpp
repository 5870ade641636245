#include "train/search/search_models.h"

#include <bit>
#include <span>

#include "data/records/tokens.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/files/open_tensor_file.h"
#include "train/run_quality.h"

namespace {

std::unique_ptr<Tokenizer> open_tokenizer(const std::string& path, Backend backend) {
    return load_tokenizer(*open_tensor_file(path), backend);
}

Measure open_measure(const std::string& flag, const std::string& file, const std::string& convention,
                     const std::string& reference, const TokenizerConfig& config, std::int64_t size,
                     Backend backend, const Comm& comm) {
    OpenedFeatures features = open_features(file, convention, backend);
    features.network->require_fitting(config.out_ch, {size, size}, flag + ": the model");
    if (comm.rank() > 0) return {std::move(features), QualityReference(Moments{}, FeatureMatrix{})};
    QualityReference measured = read_reference(reference, features, {size, size});
    return {std::move(features), std::move(measured)};
}

std::uint32_t checksum_of(const QualityReference& reference) {
    const auto of = [](const std::vector<double>& values) {
        return checksum(std::as_bytes(std::span(values)));
    };
    return of(reference.moments().mean) ^ of(reference.moments().covariance);
}

std::uint32_t checksum_of(const Measure& measure) {
    return measure.features.network->fingerprint() ^ std::rotl(checksum_of(measure.reference), 1);
}

}  // namespace

SearchModels::SearchModels(const std::string& tokenizer_file, const std::string& features,
                           const std::string& second_features, const std::string& convention,
                           const std::string& reference, std::int64_t side, Backend backend, const Comm& comm)
    : tokenizer(open_tokenizer(tokenizer_file, backend)),
      measure(open_measure("--features", features, convention, reference, tokenizer->config(),
                           side * tokenizer->config().downsampling(), backend, comm)) {
    if (!second_features.empty())
        second = open_measure("--second-features", second_features, "", reference, tokenizer->config(),
                              side * tokenizer->config().downsampling(), backend, comm);
}

std::uint32_t SearchModels::reference_checksum(const Comm& comm) const {
    std::uint32_t crc = checksum_of(measure.reference);
    comm.broadcast(&crc, sizeof crc);
    return crc;
}

std::uint32_t SearchModels::checksum(const Comm& comm) const {
    std::uint32_t crc = checksum_of(measure) ^ (second ? std::rotl(checksum_of(*second), 2) : 0);
    comm.broadcast(&crc, sizeof crc);
    return crc;
}

SearchedModel load_searched(const std::string& checkpoint, const std::string& tokenizer_file,
                            const Tokenizer& tokenizer, Backend backend) {
    const auto file = open_tensor_file(checkpoint);
    require_kind(*file, nat_kind);
    SearchedModel model{read_nat_metadata(*file), nullptr};
    require_tokenizer(checkpoint, model.metadata.tokenizer,
                      tokenizer_fingerprint(codebook_values(tokenizer), model.metadata.config.codebook_size),
                      tokenizer_file);
    model.transformer = load_nat(*file, model.metadata.config, backend);
    model.checksum = weights_checksum(model.transformer->parameters());
    return model;
}
