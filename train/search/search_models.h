// What a search for strategies measures with: the tokenizer of the model's codes, the feature networks and the
// reference, all of which stay while transformers come and go.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "models/metrics/open_features.h"
#include "models/metrics/quality.h"
#include "models/nat/checkpoint.h"
#include "models/nat/tokenizer.h"
#include "runtime/ranks/comm.h"

// A network and the pictures to compare with, as it sees them.
struct Measure {
    OpenedFeatures features;
    QualityReference reference;  // without rows on ranks above 0
};

struct SearchModels {
    std::unique_ptr<Tokenizer> tokenizer;
    Measure measure;
    std::optional<Measure> second;  // not optimised

    // Throws UsageError for features that do not fit pictures of `side` x `side` tokens, or a reference of another
    // size; Error for files that cannot be read. `second`: "" for none.
    SearchModels(const std::string& tokenizer_file, const std::string& features,
                 const std::string& second_features, const std::string& convention,
                 const std::string& reference, std::int64_t side, Backend backend, const Comm& comm);

    std::int64_t image_size(const NatConfig& config) const {
        return config.img_size * tokenizer->config().downsampling();
    }
    // Of the reference as the first network sees it, and of both networks and their references: the same on every
    // rank.
    std::uint32_t reference_checksum(const Comm& comm) const;
    std::uint32_t checksum(const Comm& comm) const;
};

// A transformer of a checkpoint whose codes are the tokenizer's, with its averaged weights, if there are any.
struct SearchedModel {
    NatMetadata metadata;
    std::unique_ptr<NatTransformer> transformer;
    std::uint32_t checksum = 0;  // of its weights
};
// Throws Error for a file that holds no transformer, or one of another tokenizer's codes.
SearchedModel load_searched(const std::string& checkpoint, const std::string& tokenizer_file,
                            const Tokenizer& tokenizer, Backend backend);
