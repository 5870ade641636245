// The rules of the tape, shown with three operations of the tests' own and a few of the engine's.
#include "runtime/tensor/tape.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "runtime/ops/ops.h"
#include "runtime/tensor/random.h"
#include "tests/unit/kernels/check_values.h"

using namespace kernel_check;

namespace {

// Calls body(i) for the elements of `node`, except while planning.
template <class Body>
void for_elements(const Tape& tape, NodeId node, Body body) {
    if (tape.planning()) return;
    for (std::int64_t i = 0; i < tape.elements(node); ++i) body(i);
}

// y = factor * x; keeps no value for the backward pass.
Tensor scaled(Tape& tape, const Tensor& x, float factor) {
    const Tensor y = tape.create(x.rows(), x.width(), true);
    for_elements(tape, y.node(),
                 [&](std::int64_t i) { tape.mutable_value(y)[i] = factor * tape.value(x)[i]; });
    if (tape.recording())
        tape.record({x.node(), y.node()}, {}, [&tape, x = x.node(), y = y.node(), factor] {
            const bool add = tape.begin_gradient(x) == GradientWrite::accumulate;
            for_elements(tape, y, [&](std::int64_t i) {
                tape.mutable_gradient(x)[i] =
                    (add ? tape.gradient(x)[i] : 0.0f) + factor * tape.gradient(y)[i];
            });
        });
    return y;
}

// y = x^2; keeps x.
Tensor squared(Tape& tape, const Tensor& x) {
    const Tensor y = tape.create(x.rows(), x.width(), true);
    for_elements(tape, y.node(),
                 [&](std::int64_t i) { tape.mutable_value(y)[i] = tape.value(x)[i] * tape.value(x)[i]; });
    if (tape.recording())
        tape.record({x.node(), y.node()}, {x.node()}, [&tape, x = x.node(), y = y.node()] {
            const bool add = tape.begin_gradient(x) == GradientWrite::accumulate;
            for_elements(tape, y, [&](std::int64_t i) {
                tape.mutable_gradient(x)[i] =
                    (add ? tape.gradient(x)[i] : 0.0f) + 2 * tape.value(x)[i] * tape.gradient(y)[i];
            });
        });
    return y;
}

// An input whose elements are `values`.
Tensor input(Tape& tape, std::int64_t rows, const std::vector<float>& values) {
    const Tensor x = tape.create(rows, static_cast<std::int64_t>(values.size()) / rows, true);
    copy_to_tensor(tape, x, values.data(), values.size() * sizeof(float));
    return x;
}

// The start of a backward pass: dy = gradient.
void seed_gradient(Tape& tape, const Tensor& y, const std::vector<float>& gradient) {
    CHECK(tape.begin_gradient(y.node()) == GradientWrite::overwrite);
    for_elements(tape, y.node(), [&](std::int64_t i) {
        tape.mutable_gradient(y.node())[i] = gradient[static_cast<std::size_t>(i)];
    });
}

std::vector<float> gradient_of(const Tape& tape, const Tensor& x) {
    std::vector<float> values;
    REQUIRE(tape.has_gradient(x.node()));
    for_elements(tape, x.node(), [&](std::int64_t i) { values.push_back(tape.gradient(x.node())[i]); });
    return values;
}

// Plans and runs a recording job twice on the same memory, NaN where buffers were released.
template <class Job>
Plan run_recording(Tape& tape, Job job) {
    tape.set_recording(true);
    tape.arena().poison_released(true);
    const Plan plan = plan_job(tape, job);
    CHECK(tape.live_nodes() == 0);
    for (int repetition = 0; repetition < 2; ++repetition) {
        run_job(tape, plan, job);
        CHECK(tape.live_nodes() == 0);
        CHECK(tape.mark() == 0);
    }
    CHECK(tape.arena().used_bytes() == plan.bytes);
    return plan;
}

std::vector<float> times(const std::vector<float>& values, float factor) {
    std::vector<float> product = values;
    for (float& value : product) value *= factor;
    return product;
}

std::size_t resident_bytes() {
    std::size_t total = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

const std::vector<float> x_values = {0.5f, -1.0f, 2.0f, 3.0f, -0.25f, 8.0f};
const std::vector<float> seed = {1.0f, 2.0f, -4.0f, 0.5f, 0.25f, -1.0f};

}  // namespace

TEST_CASE("tape: gradients of a tensor used several times add up") {
    Tape tape(Device::cpu);
    std::vector<float> dx;
    run_recording(tape, [&] {
        const Tensor x = input(tape, 2, x_values);
        const Tensor y = residual(tape, scaled(tape, x, 3), residual(tape, squared(tape, x), x, {}), {});
        seed_gradient(tape, y, seed);
        tape.backward(0);
        dx = gradient_of(tape, x);
    });
    std::vector<float> expected;
    for (std::size_t i = 0; i < seed.size(); ++i) expected.push_back((3 + 2 * x_values[i] + 1) * seed[i]);
    CHECK(dx == expected);
}

TEST_CASE("tape: a gradient shared by a residual connection is copied before it is added to") {
    Tape tape(Device::cpu);
    std::vector<float> dx, d_branch, dy;
    run_recording(tape, [&] {
        const Tensor x = input(tape, 2, x_values), branch = scaled(tape, x, 5),
                     y = residual(tape, x, branch, {});
        seed_gradient(tape, y, seed);
        tape.backward(0);
        dx = gradient_of(tape, x);
        d_branch = gradient_of(tape, branch);
        dy = gradient_of(tape, y);
        if (!tape.planning()) CHECK(tape.gradient(branch.node()) == tape.gradient(y.node()));
    });
    CHECK(dx == times(seed, 6));
    CHECK(d_branch == seed);
    CHECK(dy == seed);
}

TEST_CASE("tape: a residual connection of a tensor with itself, and again") {
    Tape tape(Device::cpu);
    std::vector<float> dx, dy;
    run_recording(tape, [&] {
        const Tensor x = input(tape, 3, x_values), y = residual(tape, residual(tape, x, x, {}), x, {});
        seed_gradient(tape, y, seed);
        tape.backward(0);
        dx = gradient_of(tape, x);
        dy = gradient_of(tape, y);
    });
    CHECK(dx == times(seed, 3));
    CHECK(dy == seed);
}

TEST_CASE("tape: a tensor used by a residual connection and by a norm") {
    const std::int64_t rows = 3, width = 5;
    const std::vector<float> values = uniform(rows * width, 1), dy = uniform(rows * width, 2);
    Parameters parameters;
    Parameter& weight = parameters.add("weight", {width}, Init::ones);
    parameters.allocate(Device::cpu, true);
    parameters.initialize(1);
    const auto gradient = [&](bool with_residual) {
        Tape tape(Device::cpu);
        std::vector<float> dx;
        run_recording(tape, [&] {
            const Tensor x = input(tape, rows, values), normed = rmsnorm(tape, x, weight, 1e-5f);
            const Tensor y = with_residual ? residual(tape, x, normed, {}) : normed;
            seed_gradient(tape, y, dy);
            tape.backward(0);
            dx = gradient_of(tape, x);
        });
        return dx;
    };
    std::vector<double> expected = widened(gradient(false));
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += static_cast<double>(dy[i]);
    CHECK(relative_error(gradient(true), expected) < 1e-6);
}

TEST_CASE("tape: what no gradient reaches is passed over") {
    Tape tape(Device::cpu);
    run_recording(tape, [&] {
        const Tensor x = input(tape, 2, x_values);
        { const Tensor unused = residual(tape, x, x, {}); }
        recompute(tape, x, x, [&tape](const Tensor& in) { return residual(tape, in, in, {}); });
        const Tensor y = scaled(tape, x, 2);
        seed_gradient(tape, y, seed);
        tape.backward(0);
        if (!tape.planning()) CHECK(gradient_of(tape, x) == times(seed, 2));
    });
}

TEST_CASE("tape: a slice shares the values and, once reserved, the gradient of its source") {
    Tape tape(Device::cpu);
    std::vector<float> dx;
    run_recording(tape, [&] {
        const Tensor x = input(tape, 3, x_values);
        tape.reserve_gradient(x);
        for (std::int64_t begin : {0, 1}) {
            const Tensor part = tape.slice(x, begin, 1 + begin), y = squared(tape, part);
            CHECK(part.rows() == 1 + begin);
            CHECK(part.width() == 2);
            if (!tape.planning()) CHECK(tape.value(part)[0] == x_values[static_cast<std::size_t>(2 * begin)]);
            seed_gradient(tape, y, {seed.begin() + 2 * begin, seed.end()});
            tape.backward(0);
        }
        tape.mark_gradient_written(x);
        dx = gradient_of(tape, x);
    });
    std::vector<float> expected;
    for (std::size_t i = 0; i < seed.size(); ++i) expected.push_back(2 * x_values[i] * seed[i]);
    CHECK(dx == expected);
}

TEST_CASE("tape: a slice of elements of another size") {
    Tape tape(Device::cpu);
    const std::vector<std::int64_t> paths = {10, 11, 12, 13};
    const auto job = [&] {
        const Tensor all = tape.create(4, 1, false, Element::i64);
        copy_to_tensor(tape, all, paths.data(), 32);
        const Tensor part = tape.slice(tape.slice(all, 1, 3), 1, 2);
        CHECK(tape.element(part.node()) == Element::i64);
        if (!tape.planning()) CHECK(tape.value<std::int64_t>(part)[1] == 13);
    };
    run_job(tape, plan_job(tape, job), job);
    CHECK(tape.live_nodes() == 0);
}

namespace {

// d (sum of weights * f(condition)) / d condition for a nested pair of levels, f = ((condition * 2)^2 +
// condition * 2)^2, level by level in chunks of the given sizes.
std::vector<float> nested_gradient(std::int64_t rows, std::int64_t outer, std::int64_t inner,
                                   std::size_t& planned) {
    const std::vector<float> values = uniform(rows * 3, 5), weights = uniform(rows * 3, 6);
    Tape tape(Device::cpu);
    std::vector<float> result;
    const auto inner_level = [&](const Tensor& condition, std::int64_t first) {
        run_in_chunks(tape, condition, inner,
                      [&](std::int64_t begin, std::int64_t count, const Tensor& chunk) {
                          CHECK(count <= inner);
                          const Tensor y = squared(tape, chunk);
                          const auto from = weights.begin() + (first + begin) * 3;
                          seed_gradient(tape, y, {from, from + count * 3});
                      });
    };
    const Plan plan = run_recording(tape, [&] {
        const Tensor x = input(tape, rows, values);
        run_in_chunks(tape, x, outer, [&](std::int64_t begin, std::int64_t, const Tensor& chunk) {
            const Tensor twice = scaled(tape, chunk, 2);
            inner_level(residual(tape, squared(tape, twice), twice, {}), begin);
        });
        result = gradient_of(tape, x);
    });
    planned = plan.bytes;
    return result;
}

}  // namespace

TEST_CASE("tape: a level in chunks gives the gradients of the level at once, in less memory") {
    const std::int64_t rows = 64;
    std::size_t whole = 0, chunked = 0;
    const std::vector<float> expected = nested_gradient(rows, rows, rows, whole);
    for (const auto& [outer, inner] : {std::pair{64, 1}, {16, 16}, {7, 3}, {1, 1}, {100, 5}}) {
        CAPTURE(outer);
        CAPTURE(inner);
        CHECK(same_bits(nested_gradient(rows, outer, inner, chunked), expected));
        CHECK(chunked <= whole);
    }
    nested_gradient(rows, 4, 2, chunked);
    CHECK(chunked < whole / 2);
}

TEST_CASE("tape: a chunk whose condition enters a residual connection") {
    Tape tape(Device::cpu);
    std::vector<float> dx;
    run_recording(tape, [&] {
        const Tensor x = input(tape, 3, x_values);
        run_in_chunks(tape, x, 1, [&](std::int64_t begin, std::int64_t, const Tensor& chunk) {
            const Tensor y = residual(tape, chunk, scaled(tape, chunk, 2), {});
            seed_gradient(tape, y, {seed.begin() + 2 * begin, seed.begin() + 2 * begin + 2});
        });
        dx = gradient_of(tape, x);
    });
    CHECK(dx == times(seed, 3));
}

TEST_CASE("tape: recomputed blocks give the bits of stored ones and keep only their inputs") {
    const std::int64_t rows = 192, width = 8, blocks = 8;
    const std::vector<float> values = uniform(rows * width, 7), weights = uniform(rows * width, 8);
    Parameters parameters;
    Parameter& matrix = parameters.add("weight", {width, width}, Init::xavier);
    Parameter& norm = parameters.add("norm", {width}, Init::ones);
    parameters.allocate(Device::cpu, true);
    parameters.initialize(3);
    const auto gradients = [&](bool recomputed, std::size_t& planned) {
        Tape tape(Device::cpu);
        std::vector<float> result;
        const Plan plan = run_recording(tape, [&] {
            parameters.zero_gradients();
            Tensor x = input(tape, rows, values);
            const Tensor paths = tape.create(rows / 2, 1, false, Element::i64);
            zero_tensor(tape, paths);
            const DropoutRule dropout{0.25f, random_key(1, "dropout"), 4, paths.node()};
            const auto block = [&tape, &matrix, &norm, dropout](const Tensor& in) {
                const Tensor hidden = linear(tape, rmsnorm(tape, in, norm, 1e-5f), matrix, nullptr);
                return residual(tape, in, scaled(tape, squared(tape, squared(tape, hidden)), 0.5f), dropout);
            };
            const Tensor first = x;
            for (std::int64_t i = 0; i < blocks; ++i)
                x = recomputed ? recompute(tape, x, paths, block) : block(x);
            seed_gradient(tape, x, weights);
            tape.backward(0);
            result = gradient_of(tape, first);
        });
        result.insert(result.end(), matrix.gradient, matrix.gradient + matrix.count);
        result.insert(result.end(), norm.gradient, norm.gradient + norm.count);
        planned = plan.bytes;
        return result;
    };
    std::size_t stored = 0, recomputed = 0;
    const std::vector<float> expected = gradients(false, stored);
    CHECK(same_bits(gradients(true, recomputed), expected));
    CHECK(recomputed < stored / 2);
}

TEST_CASE("tape: a value goes when its last handle and its last backward pass are gone") {
    Tape tape(Device::cpu);
    run_recording(tape, [&] {
        const float *kept_value = nullptr, *dropped_value = nullptr;
        const Tensor x = input(tape, 2, x_values);
        Tensor y;
        {
            const Tensor kept = scaled(tape, x, 2), dropped = squared(tape, kept);
            if (!tape.planning()) {
                kept_value = tape.value(kept);
                dropped_value = tape.value(dropped);
            }
            y = scaled(tape, dropped, 3);
        }
        if (!tape.planning()) {
            CHECK(kept_value[0] == 2 * x_values[0]);
            CHECK(std::isnan(dropped_value[0]));
        }
        tape.reserve_gradient(x);  // so that nothing is requested after the last use of `kept`
        seed_gradient(tape, y, seed);
        tape.backward(0);
        if (!tape.planning()) CHECK(std::isnan(kept_value[0]));
    });
}

TEST_CASE("tape: memory without recording is that of the widest place, with recording grows with depth") {
    const auto planned = [](bool recording, int depth) {
        Tape tape(Device::cpu);
        tape.set_recording(recording);
        return plan_job(tape,
                        [&] {
                            Tensor x = input(tape, 4, std::vector<float>(64));
                            for (int i = 0; i < depth; ++i) x = squared(tape, x);
                            if (!recording) return;
                            tape.begin_gradient(x.node());
                            tape.backward(0);
                        })
            .bytes;
    };
    CHECK(planned(false, 2) == 2 * 256);
    CHECK(planned(false, 20) == 2 * 256);
    CHECK(planned(true, 20) == planned(true, 10) + 10 * 256);
}

TEST_CASE("tape: many runs leave resident memory as it is") {
    Tape tape(Device::cpu);
    tape.set_recording(true);
    const std::vector<float> values = uniform(64 * 64, 9);
    const auto job = [&] {
        const Tensor x = input(tape, 64, values);
        run_in_chunks(tape, x, 8, [&](std::int64_t begin, std::int64_t count, const Tensor& chunk) {
            const Tensor y = squared(tape, squared(tape, scaled(tape, chunk, 2)));
            tape.begin_gradient(y.node());
            for_elements(tape, y.node(), [&](std::int64_t i) {
                tape.mutable_gradient(y.node())[i] = static_cast<float>(begin + count);
            });
        });
    };
    const Plan plan = plan_job(tape, job);
    const auto run = [&](int times_to_run) {
        for (int i = 0; i < times_to_run; ++i) run_job(tape, plan, job);
        return resident_bytes();
    };
    const std::size_t before = run(50), after = run(1000);
    CHECK(after <= before + (std::size_t{256} << 10));
}
