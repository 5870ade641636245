// A tiny random masked-token transformer and tokenizers, as files.
#pragma once

#include <cstdint>
#include <string>

#include "data/records/tokens.h"
#include "models/nat/checkpoint.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "tests/end_to_end/test_directory.h"

// 4 x 4 tokens of 12 codes, pictures of 16 x 16 pixels, three classes.
struct RandomNat {
    static constexpr std::int64_t codes = 12;

    RandomNat() {
        write_transformer("nat.safetensors", codes, write_tokenizer("tokenizer.safetensors", 3, 16));
    }

    std::uint32_t write_tokenizer(const char* name, std::uint64_t seed, std::int64_t image_size) const {
        TokenizerConfig config;
        config.ch = 32;
        config.ch_mult = {1, 1, 1};
        config.num_res_blocks = 1;
        config.z_channels = config.embed_dim = 4;
        config.n_embed = codes;
        Tokenizer tokenizer(config, Device::cpu);
        tokenizer.parameters().allocate(Device::cpu, false);
        tokenizer.parameters().initialize(seed);
        CheckpointWriter writer;
        writer.add_slab(tokenizer.parameters(), "", tokenizer.parameters().values());
        write_metadata(writer, TokenizerMetadata{{}, config, image_size});
        writer.write(work.at(name));
        return tokenizer_fingerprint(codebook_values(tokenizer), codes);
    }

    void write_transformer(const char* name, std::int64_t K, std::uint32_t fingerprint) const {
        NatConfig config;
        config.img_size = 4;
        config.codebook_size = K;
        config.embed_dim = 16;
        config.depth = 2;
        config.num_heads = 2;
        config.num_classes = 4;
        NatTransformer model(config, Device::cpu);
        model.parameters().allocate(Device::cpu, false);
        model.parameters().initialize(1);
        CheckpointWriter writer;
        writer.add_slab(model.parameters(), "", model.parameters().values());
        write_metadata(writer, NatMetadata{{{"cat", "dog", "fox"}, 0, 0}, config, fingerprint});
        writer.write(work.at(name));
    }

    TestDirectory work;
};
