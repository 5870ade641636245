// Checkpoint metadata common to all models: format, configuration, class names, updates done, EMA decay.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/model_kind.h"

struct CheckpointMetadata {
    std::vector<std::string> classes;  // names by label; empty if unknown
    std::int64_t step = 0;             // updates done
    float ema_decay = 0;               // 0: the file holds no averaged weights
};

// `kind`: of the model (model_kind.h); `config`: its configuration in JSON.
void write_metadata(CheckpointWriter& writer, std::string_view kind, const std::string& config,
                    const CheckpointMetadata& metadata);
// Which other model a model belongs to: a checksum, in hexadecimal under a key of the metadata, or nothing.
inline constexpr char tokenizer_key[] = "tokenizer";  // the tokenizer of the codes that a model draws
void write_fingerprint(CheckpointWriter& writer, const std::string& key,
                       std::optional<std::uint32_t> fingerprint);
// `whose` names it in messages. Throws Error if it is malformed.
std::optional<std::uint32_t> read_fingerprint(const TensorFile& file, const std::string& key,
                                              std::string_view whose);
// The classes that a file names, by number: none where it names none, as published files do. Throws Error.
std::vector<std::string> class_names_of(const TensorFile& file);
// Requires has_format. `parse_config` receives the configuration and its name for messages; it may throw
// UsageError. Throws Error naming the file if its metadata are malformed.
void read_metadata(
    const TensorFile& file, CheckpointMetadata& metadata,
    const std::function<void(const std::string& json, const std::string& source)>& parse_config);
