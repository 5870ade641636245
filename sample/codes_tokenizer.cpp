#include "sample/codes_tokenizer.h"

#include "data/records/tokens.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"

std::unique_ptr<Tokenizer> load_tokenizer_of(const DrawnCodes& codes, const std::string& tokenizer,
                                             Backend backend) {
    const auto file = open_tensor_file(tokenizer);
    const TokenizerMetadata metadata = read_tokenizer_metadata(*file);
    if (codes.codebook_size != metadata.config.n_embed)
        fail("{}: predicts {} codes, but the codebook of {} has {}", codes.path, codes.codebook_size,
             tokenizer, metadata.config.n_embed);
    const std::int64_t f = metadata.config.downsampling();
    if (metadata.image_size > 0 && metadata.image_size != f * codes.side)
        fail("{}: predicts {}x{} tokens, but {} makes {}x{} of its pictures of {}x{} pixels", codes.path,
             codes.side, codes.side, tokenizer, metadata.image_size / f, metadata.image_size / f,
             metadata.image_size, metadata.image_size);
    auto loaded = load_tokenizer(*file, backend);
    require_tokenizer(codes.path, codes.tokenizer,
                      tokenizer_fingerprint(codebook_values(*loaded), codes.codebook_size), tokenizer);
    report_origin("sample", *file, tokenizer_prefix(*file));
    return loaded;
}
