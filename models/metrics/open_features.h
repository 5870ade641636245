// A feature network from a file, whichever it is: Inception-v3's published weights, or one trained here.
#pragma once

#include <memory>
#include <string>

#include "models/metrics/feature_network.h"

// The network and its name in reports.
struct OpenedFeatures {
    std::unique_ptr<FeatureNetwork> network;
    std::string file;
    std::string convention;  // of Inception's input; "" of others

    // "fid" of Inception, "fd" of others; and the same in words.
    const char* distance_key() const { return network->inception() ? "fid" : "fd"; }
    const char* distance_name() const { return network->inception() ? "FID" : "FD"; }
    // Which network it is, in reports and statistics files: equal for equal weights and conventions.
    std::string fingerprint() const;
};

// `convention`: pytorch-fid, torch-fidelity or, for pytorch-fid and networks that have none, "". Throws
// UsageError for a convention that the network does not have, Error if the file holds no feature network.
OpenedFeatures open_features(const std::string& file, const std::string& convention, Backend backend);
