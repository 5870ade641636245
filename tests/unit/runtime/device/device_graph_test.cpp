#include "runtime/device/device_graph.h"

#include <doctest/doctest.h>

#include <stdexcept>

#include "runtime/ops/ops.h"
#include "tests/test_devices.h"

namespace {

// A tensor of one number, and work that adds 1 to it.
struct Counter {
    explicit Counter(Device device) : tape(device) {
        plan = plan_job(tape, [&] { tape.create(2, 1, false); });
    }
    template <class Job>
    std::vector<float> run(Job job) {
        std::vector<float> values(2);
        run_job(tape, plan, [&] {
            const Tensor tensor = tape.create(2, 1, false);
            const std::vector<float> start{0, 1};
            copy_to_tensor(tape, tensor, start.data(), 2 * sizeof(float));
            job([&] { add_tensor(tape, tape.slice(tensor, 0, 1), tape.slice(tensor, 1, 1)); });
            copy_from_tensor(tape, values.data(), tensor, 2 * sizeof(float));
        });
        return values;
    }
    template <class Body>
    void run_graph(const GraphCache::Key& key, Body&& body) {
        cache.run(tape.device(), tape.stream(), tape.planning(), key, body);
    }
    Tape tape;
    Plan plan;
    GraphCache cache;
};

}  // namespace

DEVICE_TEST("graph: what is replayed is what was recorded, once for every key") {
    Counter counter(device);
    int calls = 0;
    for (int time = 0; time < 2; ++time)
        CHECK(counter.run([&](auto add) {
            for (int i = 0; i < 10; ++i)
                counter.run_graph({i % 2}, [&] {
                    ++calls;
                    for (int n = 0; n <= i % 2; ++n) add();
                });
        })[0] == 15);
    // The first is run, then each is recorded.
    CHECK(calls == (device == Device::cpu ? 20 : 3));
    CHECK(counter.cache.size() == (device == Device::cpu ? 0 : 2));
}

DEVICE_TEST("graph: a recording that an error ends is forgotten") {
    Counter counter(device);
    const auto result = counter.run([&](auto add) {
        counter.run_graph({1}, add);
        CHECK_THROWS_AS(counter.run_graph({2},
                                          [&] {
                                              if (device == Device::cuda) add();
                                              throw std::runtime_error("planted");
                                          }),
                        std::runtime_error);
        add();  // queued and run as before
        counter.run_graph({2}, add);
    });
    CHECK(result[0] == 3);
    CHECK(counter.cache.size() == (device == Device::cpu ? 0 : 1));
}

DEVICE_TEST("graph: together they never have too many nodes") {
    Counter counter(device);
    constexpr auto most = static_cast<std::int64_t>(GraphCache::most_nodes);
    const std::vector<std::int64_t> sizes{1, 1, most / 2, most / 2 - 1, 1, most + 5, 2};
    std::int64_t total = 0;
    const auto result = counter.run([&](auto add) {
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            counter.run_graph({static_cast<std::int64_t>(i)}, [&] {
                for (std::int64_t n = 0; n < sizes[i]; ++n) add();
            });
            total += sizes[i];
            if (device == Device::cpu) continue;
            // The first is run, not recorded. One that is too large is kept alone.
            const std::size_t kept = std::vector<std::size_t>{0, 1, 2, 3, 1, 1, 1}[i];
            CAPTURE(i);
            CHECK(counter.cache.size() == kept);
            CHECK((counter.cache.nodes() <= GraphCache::most_nodes || kept == 1));
        }
        if (device == Device::cuda) CHECK(counter.cache.nodes() == 2);
    });
    CHECK(result[0] == static_cast<float>(total));
    CHECK(GraphCache::memory(device) ==
          (device == Device::cpu ? 0 : GraphCache::most_nodes * GraphCache::node_bytes));
}
