// Token files, from a file in memory, as they are and with their checksums mended.
#include "data/records/tokens.h"

#include "tests/fuzz/entry.h"
#include "tests/fuzz/mended_records.h"
#include "tests/fuzz/read_captions.h"

namespace {

void read_all(std::span<const std::uint8_t> bytes) {
    const MemoryFile memory(bytes);
    parse_rubbish([&] {
        const TokenFile file(memory.path());
        require(file.count() * file.format().tokens() <= static_cast<std::int64_t>(bytes.size()));
        read_captions(file, bytes.size());
        parse_rubbish([&] { file.verify(); });
        parse_rubbish([&] { file.require_tokenizer(1, "rubbish"); });
        TokenBatch batch;
        read_batch(file, 0, file.count(), batch);
        for (const std::int32_t token : batch.tokens)
            require(token >= 0 && token < file.format().codebook_size);
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    read_all({bytes, size});
    read_all(mended_records({bytes, size}));
    return 0;
}
