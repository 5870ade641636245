// Ids of 309 captions by the three published tokenizers: OpenAI's, open_clip's and transformers'.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/text/clip_tokenizer.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"

namespace {

using Ids = std::vector<std::int32_t>;

struct Golden {
    Golden() : all(parse_json(read_text_file("tests/golden/clip_bpe.json"), "golden")) {
        for (const nlohmann::json& json : all.at("cases"))
            // Text that was decoded wrongly: the repair does not guess at the encoding.
            if (!json.contains("needs_encoding_repair")) cases.push_back(json);
    }

    nlohmann::json all;
    std::vector<nlohmann::json> cases;
};

Ids ids_of(const nlohmann::json& json, const char* key) {
    return json.value(key, json.at("ids")).get<Ids>();
}

Ids padded(Ids ids, std::int32_t padding) {
    ids.resize(clip_context_length, padding);
    return ids;
}

}  // namespace

TEST_CASE("golden: CLIP tokenizer, captions as OpenAI's tokenizer cleans and encodes them") {
    const Golden golden;
    const ClipTokenizer tokenizer(clip_openai);
    CHECK(golden.all.at("cases").size() == 315);
    CHECK(golden.cases.size() == 309);
    CHECK(tokenizer.start() == golden.all.at("meta").at("start"));
    CHECK(tokenizer.end() == golden.all.at("meta").at("end"));
    CHECK(clip_context_length == golden.all.at("meta").at("context"));
    int truncated = 0;
    for (const nlohmann::json& json : golden.cases) {
        const auto text = json.at("text").get<std::string>();
        CAPTURE(text);
        const Ids ids = json.at("ids");
        CHECK(tokenizer.clean(text) == json.value("clean", text));
        CHECK(tokenizer.encode_truncated(text) == ids);
        CHECK(tokenizer.encode_padded(text) == padded(ids, 0));
        CHECK(tokenizer.encode(text).size() == json.value("untruncated", ids.size()));
        truncated += json.contains("untruncated") ? 1 : 0;
    }
    CHECK(truncated == 9);
}

TEST_CASE("golden: CLIP tokenizer, captions as open_clip's tokenizer encodes them") {
    const Golden golden;
    const ClipTokenizer tokenizer(clip_open_clip);
    for (const nlohmann::json& json : golden.cases) {
        const auto text = json.at("text").get<std::string>();
        CAPTURE(text);
        CHECK(tokenizer.encode_truncated(text) == ids_of(json, "open_clip_ids"));
    }
}

TEST_CASE("golden: CLIP tokenizer, captions as transformers' tokenizer encodes them") {
    const Golden golden;
    const ClipTokenizer tokenizer(clip_hf);
    for (const nlohmann::json& json : golden.cases) {
        const auto text = json.at("text").get<std::string>();
        CAPTURE(text);
        const Ids ids = ids_of(json, "hf_ids");
        CHECK(tokenizer.encode_padded(text) == padded(ids, tokenizer.end()));
        if (ids.size() < clip_context_length) CHECK(tokenizer.encode(text) == ids);
    }
}
