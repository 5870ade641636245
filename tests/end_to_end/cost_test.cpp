// Cost of models: by formula, measured on this machine, and a table of trained runs.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "models/fractal/sample.h"
#include "tests/end_to_end/test_directory.h"

namespace {

nlohmann::json cost_json(const TestDirectory& work, const Words& more) {
    const Outcome outcome = work.run("sample", Words{"cost", "--json"} + more);
    REQUIRE(outcome.exit_code == 0);
    CHECK(outcome.errors.empty());
    return nlohmann::json::parse(outcome.output);
}

// A refusal: its exit code is 2, and one line holds `part`.
void is_refused(const Outcome& outcome, const std::string& part) {
    CAPTURE(outcome.errors);
    CHECK(outcome.exit_code == 2);
    CHECK(outcome.output.empty());
    CHECK(is_one_line(outcome.errors));
    CHECK(outcome.errors.find(part) != std::string::npos);
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("end to end: the cost of the paper's models is what the paper says") {
    const TestDirectory work;
    const auto json = cost_json(work, {"--preset", "fractalmar_in64"});
    CHECK(json.at("parameters") == 431'995'648);
    CHECK(json.at("iterations") == nlohmann::json{64, 16});
    CHECK(json.at("networks").size() == 3);
    CHECK(json.at("published_forward_operations").get<double>() / 1e9 == doctest::Approx(512).epsilon(0.001));
    double training = 0;
    for (const auto& network : json.at("networks"))
        training += network.at("training_operations").get<double>();
    CHECK(json.at("training_operations").get<double>() == doctest::Approx(training));

    const auto guided = cost_json(work, {"--preset", "fractalmar_in64", "--cfg", "6.5", "--iters", "32,16"});
    const auto sampling = [](const nlohmann::json& report, int network) {
        return report.at("networks").at(network).at("sampling_operations").get<double>();
    };
    // Half the steps, twice the rows; what runs once for all steps is twice as much.
    CHECK(sampling(guided, 0) > sampling(json, 0));
    CHECK(sampling(guided, 0) == doctest::Approx(sampling(json, 0)).epsilon(0.005));
    CHECK(sampling(guided, 1) == doctest::Approx(2 * sampling(json, 1)));

    const Outcome table = work.run("sample", {"cost", "--preset", "fractalmar_large_in256"});
    REQUIRE(table.exit_code == 0);
    for (const char* part :
         {"437,000,064", "1,134 ", "1,073 ", "1 / 4,096", "4,294,967,296", "level 2, guiding"})
        CHECK_MESSAGE(has(table.output, part), part);
}

TEST_CASE("end to end: the cost of a model from a file is measured on request") {
    const TestDirectory work;
    const std::string config = work.make_config("model.json", 10);
    const auto formula = cost_json(work, {"--config", config});
    CHECK_FALSE(formula.contains("paper"));
    CHECK_FALSE(formula.contains("measured"));
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const auto report = cost_json(work, {"--config", config, "--measure", "--batch", "3", "--cfg", "2"});
    const std::chrono::duration<double> whole = Clock::now() - start;
    const auto measured = [&](const char* key) { return report.at("measured").at(key).get<double>(); };
    // No more operations a second than the ceiling, and no more seconds than the program ran.
    const auto least = [&](const char* operations) {
        return 3 * report.at(operations).get<double>() / measured("ceiling_operations_per_second");
    };
    CHECK(measured("training_seconds") >= least("training_operations"));
    CHECK(measured("sampling_seconds") >= least("sampling_operations"));
    CHECK(measured("training_seconds") + measured("sampling_seconds") < whole.count());
    const FractalConfig model_config = read_fractal_config(config);
    const FractalModel model(model_config, Device::cpu);
    CHECK(measured("sampling_planned_bytes") ==
          static_cast<double>(FractalSampler(model, 3, true).plan().bytes));
    // In training, at least the logits of 256 values for 3 images of 8 x 8 pixels.
    CHECK(measured("training_planned_bytes") >= 3 * 3 * 8 * 8 * 256 * sizeof(float));
    const Outcome table = work.run("sample", {"cost", "--config", config, "--measure", "--batch", "2"});
    CHECK(table.exit_code == 0);
    CHECK(has(table.output, "of the ceiling"));

    const Outcome large =
        work.run("sample", {"cost", "--preset", "fractalar_in64", "--measure", "--batch", "1000000"});
    CHECK(large.exit_code == 1);
    CHECK(large.output.empty());
    CHECK(is_one_line(large.errors));
    CHECK(has(large.errors, "a smaller --batch"));
}

TEST_CASE("end to end: a cost that cannot be told is refused in one line") {
    const TestDirectory work;
    const auto refused = [&](const Words& flags, const std::string& part) {
        is_refused(work.run("sample", Words{"cost"} + flags), part);
    };
    const std::string unlabelled = work.make_config("unlabelled.json", 0);
    refused({}, "--preset or --config");
    refused({"--preset", "fractalar_32", "--config", unlabelled}, "--preset or --config");
    refused({"--preset", "fractal"}, "expected one of fractalar_in64, ");
    refused({"--config", work.path("none.json")}, "none.json: cannot be opened");
    refused({"--preset", "fractalar_32", "--iters", "4"}, "--iters: 1 numbers");
    refused({"--preset", "fractalar_32", "--iters", "4,0"}, "--iters 0");
    refused({"--config", unlabelled, "--cfg", "2"}, "unlabelled");
    refused({"--preset", "fractalar_32", "--batch", "0"}, "--batch");
    refused({"--preset", "autonat_s", "--measure"}, "--measure: is for fractal models, autonat_s is none");
    refused({"--preset", "autonat_s", "--iters", "8"}, "--iters: is for fractal models");
}

TEST_CASE("end to end: trained runs are compared in one table") {
    const TestDirectory work;
    work.make_config("model.json", 10);
    work.make_fractals("data.bin", 40);
    work.write("two.json",
               R"({"img_size_list": [8, 1], "embed_dim_list": [16, 16], "num_blocks_list": [1, 1],
        "num_heads_list": [2, 2], "generator_type_list": ["ar", "ar"], "class_num": 10})");
    REQUIRE(work.run("train", work.training("three", 4)).exit_code == 0);
    REQUIRE(
        work.run("train", work.training("two", 4, {"--config", work.path("two.json"), "--log-every", "3"}))
            .exit_code == 0);

    const Words runs{"levels", work.path("two"), work.path("three")};
    const Outcome early = work.run("sample", runs);
    CHECK(early.exit_code == 1);
    CHECK(is_one_line(early.errors));
    CHECK(has(early.errors, "two/nll.json: missing"));

    std::string bits[2];
    for (int i = 0; i < 2; ++i) {
        const std::string run = i == 0 ? "two" : "three";
        const Outcome measured =
            work.run("sample", {"evaluate", "nll", "--checkpoint", work.path(run + "/last.safetensors"),
                                "--data", work.path("data.bin"), "--json"});
        REQUIRE(measured.exit_code == 0);
        work.write(run + "/nll.json", measured.output);
        bits[i] =
            fmt::format("{:.3f}", nlohmann::json::parse(measured.output).at("bits_per_dim").get<double>());
    }
    const Outcome table = work.run("sample", runs);
    REQUIRE(table.exit_code == 0);
    CHECK(table.errors.empty());
    std::istringstream lines(table.output);
    std::string line;
    std::getline(lines, line);
    for (int i = 0; i < 2; ++i) {
        std::getline(lines, line);
        CAPTURE(line);
        std::istringstream cells(line);
        std::string name, sizes, type, bits_cell;
        int levels = 0, images = 0;
        double parameters = 0, training = 0, sampling = 0, seconds = 0;
        cells >> name >> levels >> sizes >> type >> parameters >> training >> sampling >> images >> seconds >>
            bits_cell;
        CHECK(levels == 2 + i);
        CHECK(sizes == (i == 0 ? "8,1" : "8,4,1"));
        CHECK(images == 4 * 4);
        CHECK(bits_cell == bits[i]);
        // The time follows from the log's speeds.
        double expected = 0, last = 0;
        for (const auto& row : read_log(work.at(i == 0 ? "two" : "three"))) {
            expected += (std::stod(row.at("step")) - last) * 4 / std::stod(row.at("images_per_second"));
            last = std::stod(row.at("step"));
        }
        CHECK(std::abs(seconds - expected) <= 0.051);  // printed to a tenth
    }

    work.write("two/log.csv", "step,loss\n1,2\n");
    const Outcome broken = work.run("sample", runs);
    CHECK(broken.exit_code == 1);
    CHECK(has(broken.errors, "log.csv: the column images_per_second is missing"));
}

TEST_CASE("end to end: the cost of masked-token transformers, by the paper's count and by operations") {
    const TestDirectory work;
    const auto json = cost_json(work, {"--preset", "autonat_s"});
    CHECK(json.at("tokenizer") == "vqgan_f16");
    CHECK(json.at("images").at(0).at("steps") == 4);
    const double published = json.at("images").at(1).at("published_count");
    CHECK(std::round(published / 1e11) == 3);
    CHECK(json.at("images").at(1).at("guided_operations") == 2 * published);
    // Finite differences as released: 4 T - 1 strategies of 50,000 pictures.
    const auto& search = json["searches"][0];
    CHECK(search["method"] == "finite_differences");
    CHECK(search["strategies"] == 4 * 4 - 1);
    CHECK(search["update_operations"].get<double>() >
          15 * 50'000 * json["images"][0]["guided_operations"].get<double>());
    CHECK(json["searches"].size() == 8);
    const Outcome table = work.run("sample", {"cost", "--preset", "nat_mini"});
    CHECK(table.exit_code == 0);
    CHECK(has(table.output, "8x8 tokens of 512"));
}
