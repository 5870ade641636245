#include "models/metrics/open_features.h"

#include "models/metrics/feature_classifier.h"
#include "models/metrics/inception.h"
#include "runtime/base/error.h"
#include "runtime/checkpoint/model_kind.h"
#include "runtime/files/open_tensor_file.h"

std::string OpenedFeatures::fingerprint() const {
    return fmt::format("{:08x}{}{}", network->fingerprint(), convention.empty() ? "" : " ", convention);
}

OpenedFeatures open_features(const std::string& path, const std::string& convention, Backend backend) {
    const auto file = open_tensor_file(path);
    if (model_kind(*file) == inception_kind) {
        const InceptionInput input =
            convention.empty() ? InceptionInput::pytorch_fid : inception_input(convention);
        return {std::make_unique<Inception>(*file, input, backend), path, std::string(name_of(input))};
    }
    auto network = load_feature_classifier(*file, backend);
    if (!convention.empty())
        fail_usage(
            "--convention {}: says how pictures become Inception's input, but {} holds a feature "
            "network of its own",
            convention, path);
    return {std::move(network), path, ""};
}
