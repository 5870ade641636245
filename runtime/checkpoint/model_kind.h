// Which kind of model a checkpoint holds: what its metadata "format" says or, in a published file, what tensors
// that only one kind has say.
#pragma once

#include <string>
#include <string_view>

#include "runtime/files/tensor_file.h"

// Kinds, as messages name them. Checkpoints of this project have the metadata "format": "fractal.cu KIND".
inline constexpr std::string_view fractal_kind = "fractal model", nat_kind = "masked-token transformer",
                                  tokenizer_kind = "tokenizer", shard_kind = "optimizer shard",
                                  vgg_kind = "VGG16 network", lpips_kind = "set of LPIPS weights",
                                  inception_kind = "Inception-v3 network", feature_kind = "feature network",
                                  text_kind = "text encoder";

// The metadata "format" of a kind.
std::string format_of(std::string_view kind);
// Whether the file says that it is of this project's format for this kind.
bool has_format(const TensorFile& file, std::string_view kind);
// "" if neither metadata nor tensors say it.
std::string model_kind(const TensorFile& file);
// Throws UsageError, naming both kinds, if the file holds another kind than `expected`; not for files whose kind
// is not known: what they lack is found when tensors are read.
void require_kind(const TensorFile& file, std::string_view expected);
