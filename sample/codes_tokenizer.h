// The tokenizer of the codes that a checkpoint's model draws.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "models/nat/tokenizer.h"

// What a checkpoint says of the codes that its model draws.
struct DrawnCodes {
    std::string path;  // of the checkpoint
    std::int64_t codebook_size, side;
    std::optional<std::uint32_t> tokenizer;  // fingerprint (data/records/tokens.h)
};

// The tokenizer in a file. Throws Error unless the codes are its own, in number, grid and, where the checkpoint names
// it, fingerprint.
std::unique_ptr<Tokenizer> load_tokenizer_of(const DrawnCodes& codes, const std::string& tokenizer,
                                             Backend backend);
