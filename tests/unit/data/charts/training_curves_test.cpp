#include "data/charts/training_curves.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "runtime/base/error.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/unit/temporary_folder.h"

namespace {

constexpr std::string_view columns =
    "step,loss,bits_per_dim,learning_rate,gradient_norm,images_per_second,memory_mib,validation_bits_per_"
    "dim\n";

NamedLog log_of(std::string_view text, const std::string& name = "run") {
    const TemporaryFolder folder;
    overwrite(folder / "log.csv", text);
    return {name, read_training_log(folder / "log.csv")};
}

std::string message_of(std::string_view text) {
    try {
        log_of(text);
    } catch (const Error& error) {
        const std::string message = error.what();
        return message.substr(message.find("log.csv"));
    }
    return "";
}

// A run of `rows` rows; validation at the last.
std::string rows_of(int rows, double speed = 1, bool validation = true) {
    std::string text(columns);
    for (int i = 1; i <= rows; ++i) {
        const double bits = 3 + 4 * std::exp(-speed * i / rows * 3);
        text += fmt::format("{},{:.6f},{:.6f},{:.6g},{:.6g},{:.2f},{:.1f},{}\n", 10 * i, 500 * bits, bits,
                            1e-3 * i / rows, 0.5 + i % 3 * 0.1, 200.0 + i % 5, 291.0,
                            i == rows && validation ? fmt::format("{:.6f}", bits + 0.2) : "");
    }
    return text;
}

int count(const Image& image, std::array<int, 3> colour) {
    int found = 0;
    for (std::size_t i = 0; i < image.pixels.size(); i += 3)
        found += image.pixels[i] == colour[0] && image.pixels[i + 1] == colour[1] &&
                         image.pixels[i + 2] == colour[2]
                     ? 1
                     : 0;
    return found;
}

constexpr std::array<int, 3> blue{0, 114, 178}, vermillion{213, 94, 0}, green{0, 158, 115};

// Number of charts on a picture, counted by the upper edges of their frames, which curves do not reach.
int charts_on(const Image& image) {
    const auto is_frame = [&](int x, int y) {
        const std::uint8_t* at = &image.pixels[static_cast<std::size_t>((y * image.width + x) * 3)];
        return at[0] == 120 && at[1] == 120 && at[2] == 120;
    };
    int charts = 0;
    for (int y = 1; y + 1 < image.height; ++y)
        for (int x = 1; x + 100 < image.width; ++x) {
            bool corner = !is_frame(x - 1, y) && !is_frame(x, y - 1);
            for (int i = 0; i < 100 && corner; ++i) corner = is_frame(x + i, y);
            charts += corner && is_frame(x, y + 1) ? 1 : 0;
        }
    return charts;
}

}  // namespace

TEST_CASE("training log: columns by name, empty cells are no numbers") {
    const TrainingLog log = log_of("step,loss,validation_loss\n10,2.5,\n20,1e-3,-4\n").log;
    CHECK(log.columns == std::vector<std::string>{"step", "loss", "validation_loss"});
    CHECK(log.rows() == 2);
    CHECK(log.column("step") == std::vector<double>{10, 20});
    CHECK(log.column("loss") == std::vector<double>{2.5, 1e-3});
    CHECK(std::isnan(log.column("validation_loss")[0]));
    CHECK(log.column("validation_loss")[1] == -4);
    CHECK(log.find("none") == nullptr);
    CHECK_THROWS_AS(log.column("none"), Error);
    CHECK(log_of("step,loss\n").log.rows() == 0);
}

TEST_CASE("training log: a line that is just being written does not count") {
    CHECK(log_of("step,loss\n10,2.5\n20,1.").log.rows() == 1);
    CHECK(log_of("step,loss\n10,2.5\n2").log.rows() == 1);
}

TEST_CASE("training log: what is wrong with a file is said with its line") {
    CHECK(message_of("step,loss\n10,2.5\n20,1,3\n") == "log.csv: line 3: 3 cells, expected 2");
    CHECK(message_of("step,loss\n10,two\n") == "log.csv: line 2: \"two\", expected a number");
    CHECK(message_of("step,loss\n10,2.5x\n") == "log.csv: line 2: \"2.5x\", expected a number");
    CHECK(message_of("") == "log.csv: no log of a training run, whose first column is step");
    CHECK(message_of("time,loss\n1,2\n") == "log.csv: no log of a training run, whose first column is step");
    const TemporaryFolder folder;
    CHECK_THROWS_AS(read_training_log(folder / "log.csv"), UsageError);
}

TEST_CASE("training curves: a run is called by its folder") {
    CHECK(run_name("runs/fractals") == "fractals");
    CHECK(run_name("runs/fractals/") == "fractals");
    CHECK(run_name("fractals") == "fractals");
    CHECK(run_name("runs/a/..") == "runs");
}

TEST_CASE("training curves: a chart for each column but step, memory and what is zero or empty") {
    const auto picture = [](const std::string& text) {
        const NamedLog run = log_of(text);
        return training_curves({&run, 1});
    };
    const Image whole = picture(rows_of(60));
    CHECK(whole.width == 1200);
    CHECK(whole.height >= 600);
    CHECK(whole.height <= 900);
    CHECK(charts_on(whole) == 5);  // validation_bits_per_dim lies on bits_per_dim
    CHECK(count(whole, blue) > 2000);
    CHECK(count(whole, vermillion) > 20);
    const Image without = picture(rows_of(60, 1, false));
    CHECK(charts_on(without) == 5);
    CHECK(count(without, vermillion) == 0);
    CHECK(charts_on(picture("step,loss,always_zero,validation_psnr\n1,2,0,\n2,1,0,20\n")) == 2);
    CHECK(charts_on(picture("step,loss\n1,0\n")) == 0);
    std::string many = "step", row = "1";
    for (int i = 0; i < 14; ++i) {
        many += fmt::format(",column_{}", i);
        row += fmt::format(",{}", i + 1);
    }
    CHECK(charts_on(picture(many + "\n" + row + "\n")) == 14);
}

TEST_CASE("training curves: one row, many rows and constants have a picture each") {
    for (const int rows : {1, 2, 100'000}) {
        const NamedLog run = log_of(rows_of(rows));
        const Image image = training_curves({&run, 1});
        CHECK(charts_on(image) == 5);
        CHECK(count(image, blue) > 50);
        CHECK(count(image, vermillion) > 20);
    }
}

TEST_CASE("training curves: several runs have colours of their own, and a legend") {
    const std::vector<NamedLog> runs{log_of(rows_of(60, 1), "slow"), log_of(rows_of(80, 2), "fast"),
                                     log_of("step,loss,other\n10,3,1\n20,2,1\n", "third")};
    const Image image = training_curves(runs);
    CHECK(charts_on(image) == 6);
    for (const auto& colour : {blue, vermillion, green}) CHECK(count(image, colour) > 60);
    // A longer legend takes more lines.
    std::vector<NamedLog> seven;
    for (std::size_t i = 0; i < most_compared_runs; ++i)
        seven.push_back(
            log_of(rows_of(20, 1 + static_cast<double>(i)), fmt::format("a rather long name {}", i)));
    CHECK(training_curves(seven).height > training_curves({seven.data(), 2}).height);
}
