// The perceptual loss (models/nat/perceptual.h): its layout, its value against a plain computation in double,
// and its gradient.
#include "models/nat/perceptual.h"

#include <doctest/doctest.h>

#include <cmath>

#include "runtime/base/error.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/ops/ops.h"
#include "tests/skip.h"
#include "tests/unit/kernels/check_values.h"
#include "tests/unit/temporary_folder.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;

constexpr VggWidths tiny{{4, 6, 8, 8, 5}};
constexpr MapSize size{18, 22};  // 9 x 11, 4 x 5, 2 x 2, 1 x 1: pooling leaves out odd rows and columns
constexpr std::int64_t batch = 2, pixels = size.height * size.width;

// Random weights that keep the maps' size through 13 layers. Biases are large: where all channels are about
// to vanish, the loss jumps, and no slope can be measured.
void initialize(PerceptualLoss& loss) {
    Parameters& parameters = loss.parameters();
    for (const Parameter& parameter : parameters.all()) {
        std::vector<float> values = uniform(parameter.count, static_cast<unsigned>(parameter.offset) + 1);
        const auto inputs = static_cast<float>(parameter.count / parameter.shape[0]);
        const bool linear = parameter.name.starts_with("lin");
        for (float& value : values)
            value = linear                        ? value * value
                    : parameter.shape.size() == 1 ? 1 + value / 2
                                                  : value / std::sqrt(inputs);
        copy_to_device(loss.backend().device, parameter.value, values.data(), values.size() * sizeof(float));
    }
    parameters.round_values();
}

struct Result {
    double total = 0;
    std::vector<float> gradient;
};

Result run(const PerceptualLoss& loss, const std::vector<float>& pictures, const std::vector<float>& targets,
           MapSize map, float scale, float gradient_before = 0) {
    Tape tape(loss.backend());
    tape.arena().poison_released(true);
    tape.set_recording(true);
    Result result;
    const auto rows = static_cast<std::int64_t>(pictures.size()) / PerceptualLoss::channels;
    const auto job = [&] {
        const auto filled = [&](const std::vector<float>& values, bool differentiable) {
            const Tensor tensor = tape.create(rows, PerceptualLoss::channels, differentiable);
            copy_to_tensor(tape, tensor, values.data(), values.size() * sizeof(float));
            return tensor;
        };
        const Tensor given = filled(pictures, true), x = as_activation(tape, given),
                     total = tape.create(1, 1, false, Element::f64);
        zero_tensor(tape, total);
        if (gradient_before != 0) {
            tape.begin_gradient(given.node());
            const std::vector<float> before(pictures.size(), gradient_before);
            if (!tape.planning())
                copy_to_device(tape.device(), tape.mutable_gradient(given.node()), before.data(),
                               before.size() * sizeof(float));
        }
        loss.add(tape, x, filled(targets, false), map, scale, total);
        tape.backward(0);
        copy_from_tensor(tape, &result.total, total, sizeof(double));
        if (tape.planning()) return;
        result.gradient.resize(pictures.size());
        copy_from_device(tape.device(), result.gradient.data(), tape.gradient(given.node()),
                         pictures.size() * sizeof(float));
    };
    run_job(tape, plan_job(tape, job), job);
    CHECK(tape.live_nodes() == 0);
    return result;
}

// ---- the same in double, one position and channel at a time -----------------------------------------------

struct Map {
    std::int64_t height, width, channels;
    Doubles values;
    double& at(std::int64_t i, std::int64_t j, std::int64_t c) {
        return values[static_cast<std::size_t>((i * width + j) * channels + c)];
    }
};

Map convolve(Map x, const std::vector<float>& weight, const std::vector<float>& bias) {
    const auto N = static_cast<std::int64_t>(bias.size());
    Map y{x.height, x.width, N, Doubles(static_cast<std::size_t>(x.height * x.width * N))};
    for (std::int64_t i = 0; i < y.height; ++i)
        for (std::int64_t j = 0; j < y.width; ++j)
            for (std::int64_t n = 0; n < N; ++n) {
                double sum = bias[static_cast<std::size_t>(n)];
                for (std::int64_t c = 0; c < x.channels; ++c)
                    for (std::int64_t p = 0; p < 3; ++p)
                        for (std::int64_t q = 0; q < 3; ++q) {
                            const std::int64_t u = i + p - 1, v = j + q - 1;
                            if (u < 0 || u >= x.height || v < 0 || v >= x.width) continue;
                            sum += x.at(u, v, c) *
                                   weight[static_cast<std::size_t>(((n * x.channels + c) * 3 + p) * 3 + q)];
                        }
                y.at(i, j, n) = std::max(sum, 0.0);
            }
    return y;
}

Map pool(Map x) {
    Map y{x.height / 2, x.width / 2, x.channels,
          Doubles(static_cast<std::size_t>((x.height / 2) * (x.width / 2) * x.channels))};
    for (std::int64_t i = 0; i < y.height; ++i)
        for (std::int64_t j = 0; j < y.width; ++j)
            for (std::int64_t c = 0; c < x.channels; ++c)
                y.at(i, j, c) = std::max(std::max(x.at(2 * i, 2 * j, c), x.at(2 * i, 2 * j + 1, c)),
                                         std::max(x.at(2 * i + 1, 2 * j, c), x.at(2 * i + 1, 2 * j + 1, c)));
    return y;
}

double distance(Map a, Map b, const std::vector<float>& weight) {
    double sum = 0;
    for (std::int64_t i = 0; i < a.height; ++i)
        for (std::int64_t j = 0; j < a.width; ++j) {
            double a_sum = 0, b_sum = 0;
            for (std::int64_t c = 0; c < a.channels; ++c) {
                a_sum += a.at(i, j, c) * a.at(i, j, c);
                b_sum += b.at(i, j, c) * b.at(i, j, c);
            }
            for (std::int64_t c = 0; c < a.channels; ++c) {
                const double difference =
                    a.at(i, j, c) / (std::sqrt(a_sum) + 1e-10) - b.at(i, j, c) / (std::sqrt(b_sum) + 1e-10);
                sum += weight[static_cast<std::size_t>(c)] * difference * difference;
            }
        }
    return sum / static_cast<double>(a.height * a.width);
}

double plain_loss(PerceptualLoss& loss, const std::vector<float>& pictures,
                  const std::vector<float>& targets) {
    const auto values = [&](const std::string& name) {
        const Parameter& parameter = loss.parameters().find(name);
        std::vector<float> read(static_cast<std::size_t>(parameter.count));
        copy_from_device(loss.backend().device, read.data(), parameter.value, read.size() * sizeof(float));
        return read;
    };
    constexpr double shift[] = {-0.030, -0.088, -0.188}, deviation[] = {0.458, 0.448, 0.450};
    const auto scaled = [&](const std::vector<float>& all, std::int64_t image) {
        Map map{size.height, size.width, 3, Doubles(pixels * 3)};
        for (std::size_t i = 0; i < map.values.size(); ++i)
            map.values[i] = (2.0 * all[static_cast<std::size_t>(image * pixels * 3) + i] - 1 - shift[i % 3]) /
                            deviation[i % 3];
        return map;
    };
    const std::vector<std::vector<int>> layers = {{0, 2}, {5, 7}, {10, 12, 14}, {17, 19, 21}, {24, 26, 28}};
    double total = 0;
    for (std::int64_t image = 0; image < batch; ++image) {
        Map a = scaled(pictures, image), b = scaled(targets, image);
        for (std::size_t block = 0; block < layers.size(); ++block) {
            if (block > 0) a = pool(a), b = pool(b);
            for (const int layer : layers[block]) {
                const std::string name = "features." + std::to_string(layer);
                const std::vector<float> weight = values(name + ".weight"), bias = values(name + ".bias");
                a = convolve(a, weight, bias), b = convolve(b, weight, bias);
            }
            total += distance(a, b, values("lin" + std::to_string(block) + ".model.1.weight"));
        }
    }
    return total;
}

std::vector<float> random_pictures(unsigned seed) {
    return uniform(batch * pixels * PerceptualLoss::channels, seed, 0, 1);
}

// Along a few random directions, the gradient against central differences of the loss.
void check_slopes(const PerceptualLoss& loss, float scale) {
    const std::vector<float> pictures = random_pictures(1), targets = random_pictures(2);
    const std::vector<float> gradient = run(loss, pictures, targets, size, scale).gradient;
    for (unsigned direction = 0; direction < 3; ++direction) {
        const std::vector<float> way = uniform(static_cast<std::int64_t>(pictures.size()), 10 + direction);
        constexpr float step = 0x1p-10f;
        const auto at = [&](float offset) {
            std::vector<float> moved = pictures;
            for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += offset * way[i];
            return static_cast<double>(scale) * run(loss, moved, targets, size, scale).total;
        };
        const double measured = (at(step) - at(-step)) / (2 * static_cast<double>(step));
        double expected = 0, squared = 0;
        for (std::size_t i = 0; i < way.size(); ++i) {
            const double g = gradient[i];
            expected += g * static_cast<double>(way[i]);
            squared += g * g;
        }
        CAPTURE(direction);
        CHECK(squared > 0);
        CHECK(std::abs(measured - expected) <= 0.02 * std::sqrt(squared));
    }
}

}  // namespace

TEST_CASE("perceptual loss: the published names and shapes; pictures it cannot take are refused") {
    PerceptualLoss published({}, Device::cpu);
    std::string names;
    for (const Parameter& parameter : published.parameters().all()) names += parameter.name + " ";
    CHECK(names ==
          "features.0.weight features.0.bias features.2.weight features.2.bias lin0.model.1.weight "
          "features.5.weight features.5.bias features.7.weight features.7.bias lin1.model.1.weight "
          "features.10.weight features.10.bias features.12.weight features.12.bias features.14.weight "
          "features.14.bias lin2.model.1.weight features.17.weight features.17.bias features.19.weight "
          "features.19.bias features.21.weight features.21.bias lin3.model.1.weight features.24.weight "
          "features.24.bias features.26.weight features.26.bias features.28.weight features.28.bias "
          "lin4.model.1.weight ");
    const auto shape = [&](const char* name) { return published.parameters().find(name).shape; };
    CHECK(shape("features.0.weight") == std::vector<std::int64_t>{64, 3, 3, 3});
    CHECK(shape("features.17.weight") == std::vector<std::int64_t>{512, 256, 3, 3});
    CHECK(shape("features.28.bias") == std::vector<std::int64_t>{512});
    CHECK(shape("lin2.model.1.weight") == std::vector<std::int64_t>{1, 256, 1, 1});
    // 14,714,688 of VGG16's convolutions, 1,472 linear weights.
    CHECK(published.parameters().count() == 14'714'688 + 1472);
    CHECK_NOTHROW(PerceptualLoss::require_fitting(3, {16, 16}, "data.bin"));
    CHECK_THROWS_WITH_AS(PerceptualLoss::require_fitting(1, {32, 32}, "data.bin"),
                         "data.bin: pictures with 1 channels; the perceptual loss takes 3", UsageError);
    CHECK_THROWS_WITH_AS(PerceptualLoss::require_fitting(3, {16, 8}, "data.bin"),
                         "data.bin: pictures of 8 x 16 pixels; the perceptual loss needs at least 16 x 16",
                         UsageError);
}

float largest(const std::vector<float>& values) {
    float magnitude = 0;
    for (const float value : values) magnitude = std::max(magnitude, std::abs(value));
    return magnitude;
}

DEVICE_TEST("perceptual loss agrees with a plain computation in double") {
    PerceptualLoss loss(tiny, device);
    initialize(loss);
    const std::vector<float> pictures = random_pictures(1), targets = random_pictures(2);
    const double expected = plain_loss(loss, pictures, targets);
    CHECK(expected > 1e-3);
    const Result other = run(loss, pictures, targets, size, 1), same = run(loss, targets, targets, size, 1);
    CHECK(other.total == doctest::Approx(expected).epsilon(1e-5));
    CHECK(same.total < 1e-10);
    // Not zero: a fused multiply-add rounds one of two equal products, and short vectors enlarge that.
    CHECK(largest(same.gradient) < 0.01f * largest(other.gradient));
}

DEVICE_TEST("perceptual loss: its gradient is the slope, added to what is there") {
    PerceptualLoss loss(tiny, device);
    initialize(loss);
    check_slopes(loss, 0.5f);
    const std::vector<float> pictures = random_pictures(1), targets = random_pictures(2);
    const Result alone = run(loss, pictures, targets, size, 0.5f),
                 added = run(loss, pictures, targets, size, 0.5f, 0.25f);
    Doubles expected;
    for (const float value : alone.gradient) expected.push_back(static_cast<double>(value) + 0.25);
    CHECK(relative_error(added.gradient, expected) < 1e-6);
}

CUDA_TEST("perceptual loss in bf16 is close to that in fp32") {
    PerceptualLoss exact(tiny, Device::cuda), rounded(tiny, {Device::cuda, Precision::bf16});
    initialize(exact), initialize(rounded);
    const std::vector<float> pictures = random_pictures(1), targets = random_pictures(2);
    const Result expected = run(exact, pictures, targets, size, 1),
                 found = run(rounded, pictures, targets, size, 1);
    CHECK(found.total == doctest::Approx(expected.total).epsilon(0.03));
    double product = 0, expected_square = 0, found_square = 0;
    for (std::size_t i = 0; i < found.gradient.size(); ++i) {
        const double e = expected.gradient[i], f = found.gradient[i];
        product += e * f, expected_square += e * e, found_square += f * f;
    }
    CHECK(product > 0.95 * std::sqrt(expected_square * found_square));
}

TEST_CASE("perceptual loss: many pictures go through a few at a time") {
    PerceptualLoss loss({{2, 2, 2, 2, 2}}, Device::cpu);
    initialize(loss);
    constexpr MapSize large{256, 272};  // one picture at a time
    const std::int64_t values = large.height * large.width * 3;
    const std::vector<float> pictures = uniform(3 * values, 1, 0, 1), targets = uniform(3 * values, 2, 0, 1);
    const Result all = run(loss, pictures, targets, large, 1);
    double sum = 0;
    for (std::int64_t i = 0; i < 3; ++i) {
        const auto part = [&](const std::vector<float>& from_all) {
            return std::vector<float>(from_all.begin() + i * values, from_all.begin() + (i + 1) * values);
        };
        const Result one = run(loss, part(pictures), part(targets), large, 1);
        sum += one.total;
        CHECK(same_bits(one.gradient, part(all.gradient)));
    }
    CHECK(all.total == doctest::Approx(sum).epsilon(1e-12));
}

// ---- files ------------------------------------------------------------------------------------------------

namespace {

// Writes the tensors of a tiny loss whose name `keep` accepts.
template <class Keep>
void write_weights(const std::filesystem::path& path, const PerceptualLoss& loss, Keep keep) {
    CheckpointWriter writer;
    for (const Parameter& parameter : loss.parameters().all())
        if (keep(parameter.name))
            writer.add(parameter.name, parameter.shape, parameter.value, loss.backend().device);
    writer.write(path);
}

}  // namespace

TEST_CASE("perceptual loss: weights from one file or two, of any widths; what does not fit is named") {
    const TemporaryFolder folder;
    const auto at = [&](const char* name) { return (folder.path() / name).string(); };
    PerceptualLoss loss(tiny, Device::cpu);
    initialize(loss);
    const auto linear = [](const std::string& name) { return name.starts_with("lin"); };
    write_weights(at("all"), loss, [](const std::string&) { return true; });
    write_weights(at("vgg"), loss, [&](const std::string& name) { return !linear(name); });
    write_weights(at("lin"), loss, linear);
    write_weights(at("short"), loss, [&](const std::string& name) { return name != "features.12.bias"; });
    for (const std::vector<std::string>& files :
         {std::vector{at("all")}, std::vector{at("vgg"), at("lin")}, std::vector{at("lin"), at("vgg")}}) {
        const auto loaded = load_perceptual_loss(files, Device::cpu);
        CHECK(loaded->fingerprint() == loss.fingerprint());
        CHECK(loaded->parameters().find("features.28.weight").shape == std::vector<std::int64_t>{5, 5, 3, 3});
    }
    const auto refusal = [](const std::vector<std::string>& files) {
        try {
            load_perceptual_loss(files, Device::cpu);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(refusal({at("vgg")}) == at("vgg") +
                                      ": no tensor lin0.model.1.weight; expected LPIPS's linear weights "
                                      "for VGG16 (vgg.pth), in a file of their own after a comma");
    CHECK(refusal({at("lin")}) ==
          at("lin") + ": no tensor features.0.weight; expected the weights of torchvision's vgg16");
    CHECK(refusal({at("short")}) ==
          at("short") + ": no tensor features.12.bias; expected the weights of torchvision's vgg16");
    PerceptualLoss wider({{4, 6, 8, 8, 7}}, Device::cpu);
    write_weights(at("wider"), wider, linear);
    CHECK(refusal({at("vgg"), at("wider")}) ==
          at("wider") + ": tensor lin4.model.1.weight has shape [1, 7, 1, 1], expected [1, 5, 1, 1]");
    loss.parameters().find("lin1.model.1.weight").value[3] = -0.5f;
    write_weights(at("negative"), loss, linear);
    CHECK(refusal({at("vgg"), at("negative")}) ==
          at("negative") + ": tensor lin1.model.1.weight holds -0.5, expected weights of at least 0");
}
