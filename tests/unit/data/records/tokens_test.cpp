#include "data/records/tokens.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

using Tokens = std::vector<std::int32_t>;

Tokens tokens_of(std::int64_t number, bool mirrored, const TokenFormat& format) {
    std::mt19937 engine(static_cast<unsigned>(2 * number + (mirrored ? 1 : 0)));
    std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(format.codebook_size) - 1);
    Tokens tokens(static_cast<std::size_t>(format.tokens()));
    for (std::int32_t& token : tokens) token = any(engine);
    tokens[0] = static_cast<std::int32_t>(format.codebook_size) - 1;
    return tokens;
}

void write_tokens(const std::filesystem::path& path, std::int64_t count, const TokenFormat& format) {
    TokenWriter writer(path, format, {"cat", "dog"});
    for (std::int64_t i = 0; i < count; ++i)
        writer.add(tokens_of(i, false, format).data(), tokens_of(i, true, format).data(),
                   static_cast<int>(i % 3) - 1);
    writer.commit();
}

Tokens read(const TokenFile& file, std::int64_t i, bool mirrored) {
    Tokens tokens(static_cast<std::size_t>(file.format().tokens()));
    file.read(i, mirrored, tokens.data());
    return tokens;
}

std::string read_bytes(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

template <class Action>
std::string message_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

std::string refusal(const std::filesystem::path& path) {
    return message_of([&] { TokenFile(path).verify(); });
}

}  // namespace

TEST_CASE("tokens: what goes in comes out, of small codebooks and of large ones") {
    const TemporaryFolder folder;
    for (const std::int64_t K : {5, 65536, 65537, 1 << 20}) {
        CAPTURE(K);
        const TokenFormat format{3, K, 16, 0xDEADBEEF};
        write_tokens(folder / "tokens.bin", 1030, format);
        const TokenFile file(folder / "tokens.bin");
        CHECK(file.format() == format);
        REQUIRE(file.count() == 1030);
        CHECK(file.classes() == std::vector<std::string>{"cat", "dog"});
        CHECK_NOTHROW(file.verify());
        for (const std::int64_t i : {0, 1023, 1024, 1029})
            for (const bool mirrored : {false, true}) {
                CHECK(read(file, i, mirrored) == tokens_of(i, mirrored, format));
                CHECK(file.label(i) == static_cast<int>(i % 3) - 1);
            }
    }
}

TEST_CASE("tokens: captions come out as they go in, and batches say whose they are") {
    const TemporaryFolder folder;
    const TokenFormat format{2, 700, 8, 1};
    TokenWriter writer(folder / "tokens.bin", format, {});
    for (std::int64_t i = 0; i < 7; ++i)
        writer.add(tokens_of(i, false, format).data(), tokens_of(i, true, format).data(), -1,
                   std::vector<std::string>(static_cast<std::size_t>(i % 3), fmt::format("picture {}", i)));
    writer.commit();
    const TokenFile file(folder / "tokens.bin");
    CHECK_NOTHROW(file.verify());
    CHECK(file.has_captions());
    CHECK(file.caption_count() == 6);
    for (std::int64_t i = 0; i < 7; ++i) {
        CHECK(file.captions(i) == i % 3);
        CHECK(file.first_caption(i) == i / 3 * 3 + (i % 3 == 2 ? 1 : 0));
        for (std::int64_t k = 0; k < i % 3; ++k) CHECK(file.caption(i, k) == fmt::format("picture {}", i));
    }
    SampleOrder order(3, 7);
    TokenLoader loader(file, 4, 3, true, 0);
    for (std::int64_t step = 0; step < 5; ++step) {
        const TokenBatch& batch = loader.next();
        REQUIRE(batch.records.size() == 4);
        for (std::int64_t i = 0; i < 4; ++i)
            CHECK(batch.records[static_cast<std::size_t>(i)] == order.record(4 * step + i));
    }
    TokenBatch batch;
    read_batch(file, 2, 3, batch);
    CHECK(batch.records == std::vector<std::int64_t>{2, 3, 4});
}

TEST_CASE("tokens: cut off or flipped anywhere, the file is refused by name") {
    const TemporaryFolder folder;
    const auto path = folder / "tokens.bin", broken = folder / "broken.bin";
    write_tokens(path, 5, {2, 700, 8, 1});
    const std::string whole = read_bytes(path);
    REQUIRE(refusal(path).empty());
    for (std::size_t length = 0; length < whole.size(); length += 7) {
        CAPTURE(length);
        write_bytes(broken, whole.substr(0, length));
        CHECK(refusal(broken).find("broken.bin") != std::string::npos);
    }
    for (std::size_t at = 0; at < whole.size(); at += 3) {
        CAPTURE(at);
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x20);
        write_bytes(broken, flipped);
        CHECK(refusal(broken).find("broken.bin") != std::string::npos);
    }
}

TEST_CASE("tokens: what is not in the codebook is refused when it is written and when it is read") {
    const TemporaryFolder folder;
    const TokenFormat format{2, 9, 8, 1};
    const Tokens sound{0, 1, 2, 8}, beyond{0, 1, 9, 2}, negative{0, -1, 3, 2};
    TokenWriter writer(folder / "tokens.bin", format, {});
    CHECK_THROWS_AS(writer.add(beyond.data(), sound.data(), -1), Error);
    CHECK_THROWS_AS(writer.add(sound.data(), negative.data(), -1), Error);
    CHECK_THROWS_AS(writer.add(sound.data(), sound.data(), 0), Error);
    writer.add(sound.data(), sound.data(), -1);
    writer.commit();
    std::string bytes = read_bytes(folder / "tokens.bin");
    bytes[64] = 9;  // the first token: opening does not read the records
    write_bytes(folder / "tokens.bin", bytes);
    const TokenFile file(folder / "tokens.bin");
    CHECK(message_of([&] { read(file, 0, false); }).find("token 9 at position 0, expected 0 to 8") !=
          std::string::npos);
    CHECK(read(file, 0, true) == sound);
    CHECK_THROWS_AS(TokenWriter(folder / "none.bin", {0, 9, 8, 1}, {}), Error);
    CHECK_THROWS_AS(TokenWriter(folder / "none.bin", {2, (1 << 20) + 1, 8, 1}, {}), Error);
    for (const std::int64_t downsampling : {0, 1025})
        CHECK_THROWS_AS(TokenWriter(folder / "none.bin", {2, 9, downsampling, 1}, {}), Error);
    CHECK_FALSE(std::filesystem::exists(folder / "none.bin"));
}

TEST_CASE("tokens: a file whose length changes while it is read is named") {
    const TemporaryFolder folder;
    write_tokens(folder / "tokens.bin", 1, {2, 8, 4, 1});
    const TokenFile file(folder / "tokens.bin");
    CHECK_NOTHROW(file.check_length());
    const auto before = std::filesystem::file_size(folder / "tokens.bin");
    std::filesystem::resize_file(folder / "tokens.bin", before + 1);
    CHECK(message_of([&] { file.check_length(); }) ==
          fmt::format("{}: its length changed from {} to {} bytes while it was being read",
                      (folder / "tokens.bin").string(), before, before + 1));
}

TEST_CASE("tokens: a tokenizer is known by its codebook and its size") {
    const TemporaryFolder folder;
    std::vector<float> codebook(32);
    for (std::size_t i = 0; i < codebook.size(); ++i) codebook[i] = static_cast<float>(i);
    const std::uint32_t fingerprint = tokenizer_fingerprint(codebook, 8);
    CHECK(tokenizer_fingerprint(codebook, 16) != fingerprint);
    codebook[3] = 2;
    CHECK(tokenizer_fingerprint(codebook, 8) != fingerprint);
    write_tokens(folder / "tokens.bin", 1, {2, 8, 4, fingerprint});
    const TokenFile file(folder / "tokens.bin");
    CHECK_NOTHROW(file.require_tokenizer(fingerprint, "model.pth"));
    const std::string message = message_of([&] { file.require_tokenizer(fingerprint + 1, "model.pth"); });
    CHECK(message.find("tokens.bin") != std::string::npos);
    CHECK(message.find("model.pth") != std::string::npos);
}

TEST_CASE(
    "token loader: the images' order and mirroring are those of the samples; a position continues exactly") {
    const TemporaryFolder folder;
    const TokenFormat format{2, 700, 8, 1};
    write_tokens(folder / "tokens.bin", 23, format);
    const TokenFile file(folder / "tokens.bin");
    SampleOrder order(7, 23);
    for (const bool flip : {false, true})
        for (const std::int64_t position : {0, 37}) {
            TokenLoader loader(file, 5, 7, flip, position, 10);
            for (int step = 0; step < 8; ++step) {
                const TokenBatch& batch = loader.next();
                REQUIRE(batch.position == position + 10 * step);
                for (std::int64_t i = 0; i < 5; ++i) {
                    const std::int64_t sample = batch.position + i, record = order.record(sample);
                    const Tokens expected = tokens_of(record, flip && sample_is_flipped(7, sample), format);
                    CHECK(std::equal(expected.begin(), expected.end(), batch.tokens.begin() + 4 * i));
                    CHECK(batch.labels[static_cast<std::size_t>(i)] == file.label(record));
                }
            }
        }
    TokenBatch batch;
    read_batch(file, 21, 2, batch);
    const Tokens last = tokens_of(22, false, format);
    CHECK(std::equal(last.begin(), last.end(), batch.tokens.begin() + 4));
    CHECK_THROWS_AS(read_batch(file, 21, 3, batch), Error);
    CHECK_THROWS_AS(TokenLoader(file, 5, 7, false, 0, 4), Error);
}
