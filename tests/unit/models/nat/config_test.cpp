#include "models/nat/config.h"

#include <doctest/doctest.h>

#include "models/nat/transformer.h"
#include "runtime/base/error.h"

namespace {

std::string refusal(const std::string& json) {
    try {
        parse_nat_config(json, "model.json");
    } catch (const UsageError& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("nat config: JSON there and back, and what is refused") {
    for (const NatPreset& preset : nat_presets()) {
        CHECK(parse_nat_config(to_json(preset.config), "preset") == preset.config);
        CHECK(nat_preset(preset.name).config == preset.config);
    }
    CHECK_THROWS_AS(nat_preset("none"), UsageError);
    // `change`: one key and its value, in place of the usual one.
    const auto with = [](const std::string& change) {
        std::string json = "{";
        for (const char* usual : {R"("img_size": 16)", R"("codebook_size": 32)", R"("embed_dim": 32)",
                                  R"("depth": 4)", R"("num_heads": 4)", R"("num_classes": 11)"}) {
            const std::string_view key = std::string_view(usual).substr(0, std::string_view(usual).find(':'));
            if (change.find(key) == std::string::npos) json += std::string(usual) + ", ";
        }
        if (change.empty()) json.resize(json.size() - 2);
        return json + change + "}";
    };
    CHECK(refusal(with("")).empty());
    CHECK(refusal(with(R"("depth": 5)")).find("depth is 5, expected an even number") != std::string::npos);
    CHECK(refusal(with(R"("num_heads": 5)")).find("does not divide the width 32") != std::string::npos);
    CHECK(refusal(with(R"("embed_dim": 1028)")).find("heads of size 257, expected at most 256") !=
          std::string::npos);
    CHECK(refusal(with(R"("patch_size": 3)")).find("does not divide img_size 16") != std::string::npos);
    CHECK(refusal(with(R"("dept": 4)")).find("the key dept is not known") != std::string::npos);
    CHECK(refusal(with(R"("skip": 1.5)")).find("model.json: skip is 1.5") != std::string::npos);
    CHECK(refusal(with(R"("codebook_size": 0)")).find("expected 1 to") != std::string::npos);
    CHECK(refusal(with(R"("clip_dim": 8)")).find("num_classes is 11 beside clip_dim") != std::string::npos);
    const auto of_texts = [&](const std::string& encoder) {
        return refusal(R"({"img_size": 16, "codebook_size": 32, "embed_dim": 32, "depth": 4, "num_heads": 4,
            "clip_dim": 8, "num_clip_token": 10, "text_encoder": )" +
                       encoder + "}");
    };
    CHECK(of_texts(R"({"width": 8, "layers": 1, "heads": 2, "context_length": 10})").empty());
    CHECK(of_texts(R"({"width": 8, "layers": 1, "heads": 2})").find("expected 10 of 8") != std::string::npos);
    CHECK(of_texts(R"({"width": 8, "layers": 1, "heads": 3})").find("model.json: text_encoder: heads") !=
          std::string::npos);
    CHECK(of_texts("1").find("model.json: text_encoder") != std::string::npos);
    CHECK(refusal("{}").find("the key img_size is missing") != std::string::npos);
    CHECK(refusal("[1]").find("not a JSON object") != std::string::npos);
}

TEST_CASE("nat config: the presets have the paper's numbers of parameters") {
    const auto millions = [](const char* name) {
        return static_cast<double>(
                   NatTransformer(nat_preset(name).config, Device::cpu).parameters().count()) /
               1e6;
    };
    CHECK(millions("autonat_s") == doctest::Approx(46).epsilon(0.01));
    CHECK(millions("autonat_l") == doctest::Approx(194).epsilon(0.01));
    CHECK(millions("nat_text_s") == doctest::Approx(45.4).epsilon(0.001));
    CHECK(millions("muse_cc3m") == doctest::Approx(503.6).epsilon(0.0001));
}
