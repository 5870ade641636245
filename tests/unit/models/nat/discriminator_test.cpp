// The discriminator and the gradients of adversarial training (models/nat/discriminator.h, adversarial.h).
#include "models/nat/discriminator.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "models/nat/adversarial.h"
#include "runtime/base/error.h"
#include "runtime/ops/adversarial_ops.h"
#include "runtime/ops/ops.h"
#include "tests/skip.h"
#include "tests/unit/kernels/check_values.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;

constexpr MapSize size{16, 14};
constexpr std::int64_t batch = 2, pixels = size.height * size.width, channels = 3, features = 6;
const DiscriminatorConfig tiny{channels, 4, 2};

std::vector<float> read(Device device, const float* source, std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    copy_from_device(device, values.data(), source, values.size() * sizeof(float));
    return values;
}
std::vector<float> value_of(const Discriminator& discriminator, const Parameter& parameter) {
    return read(discriminator.backend().device, parameter.value, parameter.count);
}

// With weights large enough that the norms' epsilon is nothing and every layer matters.
void initialize(Discriminator& discriminator) {
    Parameters& parameters = discriminator.parameters();
    parameters.allocate(discriminator.backend(), true);
    for (Parameter& parameter : parameters.all()) {
        const std::vector<float> values =
            uniform(parameter.count, static_cast<unsigned>(parameter.offset) + 1, -0.3f, 0.4f);
        copy_to_device(discriminator.backend().device, parameter.value, values.data(),
                       values.size() * sizeof(float));
    }
    parameters.round_values();
}

Tensor filled(Tape& tape, std::int64_t rows, const std::vector<float>& values, bool differentiable) {
    const Tensor tensor = tape.create(rows, static_cast<std::int64_t>(values.size()) / rows, differentiable);
    copy_to_tensor(tape, tensor, values.data(), values.size() * sizeof(float));
    return tensor;
}
Tensor zero_total(Tape& tape) {
    const Tensor total = tape.create(1, 1, false, Element::f64);
    zero_tensor(tape, total);
    return total;
}
double read_total(Tape& tape, const Tensor& total) {
    double value = 0;
    copy_from_tensor(tape, &value, total, sizeof(value));
    return value;
}

// ---- a plain computation of the discriminator, in double --------------------------------------------------

struct Map {
    std::int64_t height, width, channels;
    Doubles values;  // one picture
    double& at(std::int64_t i, std::int64_t j, std::int64_t c) {
        return values[(i * width + j) * channels + c];
    }
};

Map convolve(Map x, const std::vector<float>& weight, std::int64_t N, std::int64_t stride) {
    Map y{(x.height - 2) / stride + 1, (x.width - 2) / stride + 1, N, {}};
    y.values.resize(y.height * y.width * N);
    for (std::int64_t i = 0; i < y.height; ++i)
        for (std::int64_t j = 0; j < y.width; ++j)
            for (std::int64_t n = 0; n < N; ++n)
                for (std::int64_t c = 0; c < x.channels; ++c)
                    for (std::int64_t p = 0; p < 4; ++p)
                        for (std::int64_t q = 0; q < 4; ++q) {
                            const std::int64_t u = i * stride + p - 1, v = j * stride + q - 1;
                            if (u < 0 || u >= x.height || v < 0 || v >= x.width) continue;
                            y.at(i, j, n) += x.at(u, v, c) * weight[((n * x.channels + c) * 4 + p) * 4 + q];
                        }
    return y;
}

void normalize(Map& x, std::int64_t groups, const std::vector<float>& weight,
               const std::vector<float>& bias) {
    const std::int64_t each = x.channels / groups;
    for (std::int64_t group = 0; group < groups; ++group) {
        const double count = static_cast<double>(x.height * x.width * each);
        double mean = 0, variance = 0;
        const auto for_each = [&](auto use) {
            for (std::int64_t position = 0; position < x.height * x.width; ++position)
                for (std::int64_t c = group * each; c < (group + 1) * each; ++c)
                    use(x.values[position * x.channels + c], c);
        };
        for_each([&](double value, std::int64_t) { mean += value / count; });
        for_each([&](double value, std::int64_t) { variance += (value - mean) * (value - mean) / count; });
        for_each([&](double& value, std::int64_t c) {
            value = (value - mean) / std::sqrt(variance + 1e-6) * weight[c] + bias[c];
        });
    }
}

void rectify(Map& x) {
    for (double& value : x.values) value = value > 0 ? value : 0.2 * value;
}

// Of `tiny`: loss.discriminator.main.0 stride 2, loss.discriminator.main.2 and its norm
// loss.discriminator.main.3 stride 2, loss.discriminator.main.5 and loss.discriminator.main.6 stride 1,
// loss.discriminator.main.8.
Doubles plain_logits(Discriminator& d, const std::vector<float>& pictures) {
    const auto values = [&](const char* name) { return value_of(d, d.parameters().find(name)); };
    const auto add_bias = [](Map& x, const std::vector<float>& bias) {
        for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += bias[i % bias.size()];
    };
    Doubles logits;
    for (std::int64_t b = 0; b < batch; ++b) {
        const auto begin = pictures.begin() + b * pixels * channels;
        Map x{size.height, size.width, channels, Doubles(begin, begin + pixels * channels)};
        x = convolve(x, values("loss.discriminator.main.0.weight"), 4, 2);
        add_bias(x, values("loss.discriminator.main.0.bias"));
        rectify(x);
        x = convolve(x, values("loss.discriminator.main.2.weight"), 8, 2);
        normalize(x, 8, values("loss.discriminator.main.3.weight"), values("loss.discriminator.main.3.bias"));
        rectify(x);
        x = convolve(x, values("loss.discriminator.main.5.weight"), 16, 1);
        normalize(x, 16, values("loss.discriminator.main.6.weight"),
                  values("loss.discriminator.main.6.bias"));
        rectify(x);
        x = convolve(x, values("loss.discriminator.main.8.weight"), 1, 1);
        add_bias(x, values("loss.discriminator.main.8.bias"));
        logits.insert(logits.end(), x.values.begin(), x.values.end());
    }
    return logits;
}

}  // namespace

TEST_CASE("discriminator: the release's names and grids; pictures too small are refused") {
    Discriminator published({}, Device::cpu);
    std::string names;
    for (const Parameter& parameter : published.parameters().all()) names += parameter.name + " ";
    CHECK(
        names ==
        "loss.discriminator.main.0.weight loss.discriminator.main.0.bias loss.discriminator.main.2.weight "
        "loss.discriminator.main.3.weight loss.discriminator.main.3.bias loss.discriminator.main.5.weight "
        "loss.discriminator.main.6.weight "
        "loss.discriminator.main.6.bias loss.discriminator.main.8.weight loss.discriminator.main.9.weight "
        "loss.discriminator.main.9.bias loss.discriminator.main.11.weight loss.discriminator.main.11.bias ");
    CHECK(published.parameters().find("loss.discriminator.main.8.weight").shape ==
          std::vector<std::int64_t>{512, 256, 4, 4});
    CHECK(published.logits_size({256, 256}) == MapSize{30, 30});
    CHECK(Discriminator({3, 64, 2}, Device::cpu).logits_size({32, 32}) == MapSize{6, 6});
    CHECK_THROWS_WITH_AS(published.logits_size({256, 16}),
                         "discriminator: a picture of 256 x 16 is too small for 3 layers; expected fewer",
                         UsageError);
    CHECK_THROWS_AS(Discriminator({3, 64, 0}, Device::cpu), UsageError);
}

DEVICE_TEST("discriminator agrees with a plain computation in double") {
    Discriminator discriminator(tiny, device);
    initialize(discriminator);
    const std::vector<float> pictures = uniform(batch * pixels * channels, 7, 0, 1);
    std::vector<float> logits;
    Tape tape(device);
    const auto job = [&] {
        const Tensor y = discriminator.forward(tape, filled(tape, batch * pixels, pictures, false), size);
        const MapSize grid = discriminator.logits_size(size);
        CHECK(y.rows() == batch * grid.height * grid.width);
        logits.resize(static_cast<std::size_t>(y.rows()));
        copy_from_tensor(tape, logits.data(), y, logits.size() * sizeof(float));
    };
    run_job(tape, plan_job(tape, job), job);
    CHECK(relative_error(logits, plain_logits(discriminator, pictures)) < 1e-5);
}

// ---- the generator's side ---------------------------------------------------------------------------------

namespace {

// A decoder of one layer on given features, and a discriminator.
struct Setting {
    Device device;
    Discriminator discriminator;
    Parameters decoder;
    const Parameter *weight, *bias;
    std::vector<float> input, targets;
    AdversarialScales scales;

    explicit Setting(Backend backend)
        : device(backend.device),
          discriminator(tiny, backend),
          weight(&decoder.add("weight", {channels, features, 3, 3}, Init::normal)),
          bias(&decoder.add("bias", {channels}, Init::normal)),
          input(uniform(batch * pixels * features, 11)),
          targets(uniform(batch * pixels * channels, 12)) {
        initialize(discriminator);
        decoder.allocate(backend, true);
        decoder.initialize(5);
        decoder.round_values();
        const MapSize grid = discriminator.logits_size(size);
        scales = {1.0f / (batch * pixels * channels),
                  1.0f / static_cast<float>(batch * grid.height * grid.width)};
    }

    // Gradients of the features, and then of the decoder's parameters, that leave_gradient(tape, features,
    // reconstruction) leads to.
    template <class Leave>
    std::vector<float> gradients(Tape& tape, Leave leave_gradient) {
        decoder.zero_gradients();
        tape.set_recording(true);
        std::vector<float> found(input.size());
        const auto job = [&] {
            const Tensor given = filled(tape, batch * pixels, input, true), x = as_activation(tape, given);
            const Tensor reconstruction = conv2d(tape, x, size, *weight, bias, 1, 1);
            leave_gradient(x, reconstruction);
            tape.backward(0);
            if (!tape.planning())
                copy_from_device(device, found.data(), tape.gradient(given.node()),
                                 found.size() * sizeof(float));
        };
        run_job(tape, plan_job(tape, job), job);
        for (const Parameter* parameter : {weight, bias})
            for (const float value : read(device, parameter->gradient, parameter->count))
                found.push_back(value);
        return found;
    }
    double weight_norm(const std::vector<float>& found) const {
        double sum = 0;
        for (std::int64_t i = 0; i < weight->count; ++i) {
            const double value = found[input.size() + static_cast<std::size_t>(i)];
            sum += value * value;
        }
        return std::sqrt(sum);
    }
};

// Error of generator_gradient, relative to the largest element, against two passes whose gradients are added
// according to equation 7.
double error_of_generator_gradient(Backend backend) {
    Setting s(backend);
    Tape tape(backend);
    double distance = 0, generator_loss = 0, both_distance = 0, both_generator_loss = 0;
    float lambda = 0;
    const std::vector<float> first = s.gradients(tape, [&](const Tensor&, const Tensor& reconstruction) {
        const Tensor total = zero_total(tape);
        l1_loss(tape, reconstruction, filled(tape, batch * pixels, s.targets, false), s.scales.pixels, total);
        distance = read_total(tape, total);
    });
    const std::vector<float> second = s.gradients(tape, [&](const Tensor&, const Tensor& reconstruction) {
        const Tensor total = zero_total(tape);
        adversarial_loss(tape, s.discriminator.forward(tape, reconstruction, size),
                         AdversarialTerm::generator, s.scales.logits, total);
        generator_loss = read_total(tape, total);
    });
    const std::vector<float> both = s.gradients(tape, [&](const Tensor& x, const Tensor& reconstruction) {
        const GeneratorReport report{zero_total(tape), zero_total(tape), tape.create(1, 1, false)};
        generator_gradient(tape, s.discriminator, reconstruction,
                           filled(tape, batch * pixels, s.targets, false), size, {x, s.weight}, s.scales,
                           report);
        both_distance = read_total(tape, report.distance);
        both_generator_loss = read_total(tape, report.generator_loss);
        copy_from_tensor(tape, &lambda, report.weight, sizeof(lambda));
    });
    CHECK(both_distance == distance);
    CHECK(both_generator_loss == generator_loss);
    const double expected_lambda = 0.8 * s.weight_norm(first) / (s.weight_norm(second) + 1e-4);
    CHECK(lambda ==
          doctest::Approx(expected_lambda).epsilon(backend.precision == Precision::fp32 ? 1e-4 : 2e-2));
    CHECK(lambda * s.weight_norm(second) > 0.1 * s.weight_norm(first));  // both parts count
    Doubles expected;
    for (std::size_t i = 0; i < first.size(); ++i)
        expected.push_back(static_cast<double>(first[i]) + expected_lambda * static_cast<double>(second[i]));
    return relative_error(both, expected);
}

}  // namespace

DEVICE_TEST("generator_gradient is that of two passes, weighed at the last layer") {
    CHECK(error_of_generator_gradient(device) < 1e-4);
}

CUDA_TEST("generator_gradient in bf16") {
    CHECK(error_of_generator_gradient({Device::cuda, Precision::bf16}) < 3e-2);
}

DEVICE_TEST("generator_gradient adds to what the reconstruction's gradient holds") {
    Setting s(device);
    Tape tape(device);
    const auto report = [&] {
        return GeneratorReport{zero_total(tape), zero_total(tape), tape.create(1, 1, false)};
    };
    const auto targets = [&] { return filled(tape, batch * pixels, s.targets, false); };
    // The same loss twice: as a term of the caller's, then the function's own with the other half.
    const AdversarialScales half{s.scales.pixels / 2, s.scales.logits};
    const std::vector<float> whole = s.gradients(tape, [&](const Tensor& x, const Tensor& reconstruction) {
        generator_gradient(tape, s.discriminator, reconstruction, targets(), size, {x, s.weight}, s.scales,
                           report());
    });
    const std::vector<float> halves = s.gradients(tape, [&](const Tensor& x, const Tensor& reconstruction) {
        l1_loss(tape, reconstruction, targets(), half.pixels, zero_total(tape));
        generator_gradient(tape, s.discriminator, reconstruction, targets(), size, {x, s.weight}, half,
                           report());
    });
    CHECK(relative_error(halves, widened(whole)) < 1e-5);
}

// ---- the discriminator's side -----------------------------------------------------------------------------

DEVICE_TEST("discriminator_gradient is the slope of half the hinge losses") {
    Discriminator discriminator(tiny, device);
    initialize(discriminator);
    Parameters& parameters = discriminator.parameters();
    const std::vector<float> pictures = uniform(batch * pixels * channels, 21, 0, 1),
                             generated = uniform(batch * pixels * channels, 22, 0, 0.8f);
    const MapSize grid = discriminator.logits_size(size);
    const float scale = 1.0f / static_cast<float>(batch * grid.height * grid.width);
    Tape tape(device);
    tape.set_recording(true);
    const auto loss = [&] {
        double sums[2] = {};
        parameters.zero_gradients();
        const auto job = [&] {
            const Tensor real_total = zero_total(tape), generated_total = zero_total(tape);
            const Tensor reconstruction = filled(tape, batch * pixels, generated, true);
            discriminator_gradient(tape, discriminator, filled(tape, batch * pixels, pictures, false),
                                   reconstruction, size, scale, real_total, generated_total);
            CHECK_FALSE(tape.has_gradient(reconstruction.node()));
            sums[0] = read_total(tape, real_total);
            sums[1] = read_total(tape, generated_total);
        };
        run_job(tape, plan_job(tape, job), job);
        CHECK(tape.live_nodes() == 0);
        return static_cast<double>(scale) * (sums[0] + sums[1]) / 2;
    };
    const double before = loss();
    Doubles plain = plain_logits(discriminator, pictures), other = plain_logits(discriminator, generated);
    double expected = 0;
    for (const double logit : plain) expected += std::max(0.0, 1 - logit) * static_cast<double>(scale) / 2;
    for (const double logit : other) expected += std::max(0.0, 1 + logit) * static_cast<double>(scale) / 2;
    CHECK(before == doctest::Approx(expected).epsilon(1e-5));

    // A small step against the gradient lowers the loss by its squared length.
    const auto count = static_cast<std::int64_t>(parameters.slab_floats());
    std::vector<float> values = read(device, parameters.values(), count);
    const std::vector<float> gradient = read(device, parameters.gradients(), count);
    double squared = 0;
    for (const float g : gradient) squared += static_cast<double>(g) * static_cast<double>(g);
    constexpr double step = 1e-4;
    for (std::size_t i = 0; i < values.size(); ++i) values[i] -= static_cast<float>(step) * gradient[i];
    copy_to_device(device, parameters.values(), values.data(), values.size() * sizeof(float));
    CHECK((before - loss()) / step == doctest::Approx(squared).epsilon(0.03));
}
