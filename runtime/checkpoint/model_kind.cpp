#include "runtime/checkpoint/model_kind.h"

#include <algorithm>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/one_line.h"

namespace {

constexpr std::string_view format_prefix = "fractal.cu ";

struct Signature {
    std::string_view kind;
    std::vector<std::string_view> tensors;  // which no other kind has all of
};

const std::vector<Signature>& signatures() {
    static const std::vector<Signature> all{
        {fractal_kind, {"fake_latent"}},
        {nat_kind,
         {"token_emb.word_embeddings.weight", "context_embed.word_embeddings.weight",
          "mid_block.mlp.fc1.weight"}},
        {nat_kind,
         {"token_emb.word_embeddings.weight", "context_embed.weight", "mid_block.mlp.fc1.weight"}},
        {tokenizer_kind, {"quantize.embedding.weight", "encoder.conv_in.weight"}},
        {vgg_kind, {"features.0.weight", "features.28.weight"}},
        {lpips_kind, {"lin0.model.1.weight", "lin4.model.1.weight"}},
        {text_kind, {"text_model.embeddings.token_embedding.weight", "text_model.final_layer_norm.weight"}},
        {text_kind, {"token_embedding.weight", "transformer.resblocks.0.attn.in_proj_weight"}},
        {inception_kind, {"Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch_pool.conv.weight"}},
    };
    return all;
}

std::string with_article(std::string_view kind) {
    return fmt::format("{} {}", kind.find_first_of("aeiou") == 0 ? "an" : "a", kind);
}

}  // namespace

std::string format_of(std::string_view kind) {
    return std::string(format_prefix) + std::string(kind);
}

bool has_format(const TensorFile& file, std::string_view kind) {
    const auto said = file.metadata().find("format");
    return said != file.metadata().end() && said->second == format_of(kind);
}

std::string model_kind(const TensorFile& file) {
    // Other programs write "format" as well: "pt".
    const auto said = file.metadata().find("format");
    if (said != file.metadata().end() && said->second.starts_with(format_prefix))
        return said->second.substr(format_prefix.size());
    for (const std::string_view prefix : {std::string_view(""), average_prefix})
        for (const Signature& signature : signatures())
            if (std::ranges::all_of(signature.tensors, [&](std::string_view tensor) {
                    return file.contains(std::string(prefix) + std::string(tensor));
                }))
                return std::string(signature.kind);
    return "";
}

void require_kind(const TensorFile& file, std::string_view expected) {
    const std::string found = model_kind(file);
    if (!found.empty() && found != expected)
        fail_usage("{}: holds {}, expected {}{}", file.path().string(), one_line(with_article(found)),
                   with_article(expected),
                   found == shard_kind ? ": give the checkpoint that the shard lies beside" : "");
}
