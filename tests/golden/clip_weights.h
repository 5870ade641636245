// The tiny text encoder's weights in both published forms. The release's two files hold the same numbers: the
// one with OpenAI's names is stored, the one with transformers' names is written from it.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "runtime/files/pth/pth.h"
#include "runtime/files/safetensors.h"
#include "tests/golden/golden_file.h"
#include "tests/unit/temporary_folder.h"

struct ClipWeights {
    GoldenFile openai{"clip_text_tiny_openai.pth"};

    ClipWeights() {
        const PthFile file(openai.path());
        add(file, "token_embedding.weight", {"embeddings.token_embedding.weight"});
        add(file, "positional_embedding", {"embeddings.position_embedding.weight"});
        for (const std::string kind : {"weight", "bias"}) {
            for (const std::string layer : {"0.", "1."}) {
                const std::string from = "transformer.resblocks." + layer, to = "encoder.layers." + layer,
                                  attention = to + "self_attn.";
                add(file, from + "attn.in_proj_" + kind,
                    {attention + "q_proj." + kind, attention + "k_proj." + kind,
                     attention + "v_proj." + kind});
                add(file, from + "attn.out_proj." + kind, {attention + "out_proj." + kind});
                add(file, from + "ln_1." + kind, {to + "layer_norm1." + kind});
                add(file, from + "ln_2." + kind, {to + "layer_norm2." + kind});
                add(file, from + "mlp.c_fc." + kind, {to + "mlp.fc1." + kind});
                add(file, from + "mlp.c_proj." + kind, {to + "mlp.fc2." + kind});
            }
            add(file, "ln_final." + kind, {"final_layer_norm." + kind});
        }
        std::vector<SafetensorsTensor> entries;
        for (const Part& part : parts_)
            entries.push_back({part.name, "F32", part.shape, std::as_bytes(std::span(part.values))});
        write_safetensors(transformers(), entries, {});
    }

    std::filesystem::path transformers() const { return folder_ / "clip_text_tiny.weights.safetensors"; }
    std::vector<std::filesystem::path> all() const { return {transformers(), openai.path()}; }

  private:
    struct Part {
        std::string name;
        std::vector<std::int64_t> shape;
        std::vector<float> values;
    };

    // The rows of a tensor, in equal parts.
    void add(const PthFile& file, const std::string& name, const std::vector<std::string>& parts) {
        std::vector<std::int64_t> shape = file.shape(name);
        std::vector<float> values(static_cast<std::size_t>(
            std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies())));
        file.read(name, values.data());
        shape.front() /= static_cast<std::int64_t>(parts.size());
        const std::size_t size = values.size() / parts.size();
        for (std::size_t i = 0; i < parts.size(); ++i)
            parts_.push_back({"text_model." + parts[i],
                              shape,
                              {values.begin() + static_cast<std::ptrdiff_t>(i * size),
                               values.begin() + static_cast<std::ptrdiff_t>((i + 1) * size)}});
    }

    std::vector<Part> parts_;
    TemporaryFolder folder_;
};
