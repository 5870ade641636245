#include "runtime/tensor/arena.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

namespace {

// A job's requests and releases, in order.
struct Event {
    bool request;
    std::size_t index;  // number of the request
};
struct Trace {
    std::vector<Event> events;
    std::vector<std::size_t> bytes;  // by request
};

Trace random_trace(unsigned seed, std::size_t requests) {
    std::mt19937 engine(seed);
    Trace trace;
    std::vector<std::size_t> alive;
    while (trace.bytes.size() < requests || !alive.empty()) {
        const bool more = trace.bytes.size() < requests;
        if (more && (alive.empty() || engine() % 2 == 0)) {
            alive.push_back(trace.bytes.size());
            trace.events.push_back({true, trace.bytes.size()});
            trace.bytes.push_back(engine() % (std::size_t{1} << (1 + engine() % 14)));
        } else {
            const std::size_t which = engine() % alive.size();
            trace.events.push_back({false, alive[which]});
            alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(which));
        }
    }
    return trace;
}

// Runs the trace; `begin` and `end` see each buffer when it is requested and before it is released.
template <class Begin, class End>
void replay(Arena& arena, const Trace& trace, Begin begin, End end) {
    std::vector<BufferId> buffers(trace.bytes.size(), no_buffer);
    for (const Event& event : trace.events)
        if (event.request) {
            buffers[event.index] = arena.allocate(trace.bytes[event.index]);
            begin(buffers[event.index], event.index);
        } else {
            end(buffers[event.index], event.index);
            arena.release(buffers[event.index]);
        }
}

Plan plan_trace(Arena& arena, const Trace& trace) {
    const auto nothing = [](BufferId, std::size_t) {};
    arena.begin_planning();
    replay(arena, trace, nothing, nothing);
    return arena.finish_planning();
}

template <class Job>
Plan plan_of(Arena& arena, Job job) {
    arena.begin_planning();
    job();
    return arena.finish_planning();
}

std::size_t round_up(std::size_t bytes) {
    return (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64;
}

}  // namespace

TEST_CASE("arena: buffers alive at the same time never overlap") {
    for (unsigned seed = 0; seed < 30; ++seed) {
        CAPTURE(seed);
        const Trace trace = random_trace(seed, 1 + seed * 5);
        Arena arena(Device::cpu);
        const Plan plan = plan_trace(arena, trace);
        REQUIRE(plan.entries.size() == trace.bytes.size());
        std::size_t live = 0, largest_live = 0, last_byte = 0, overlaps = 0;
        for (const Event& event : trace.events) {
            const std::size_t bytes = round_up(trace.bytes[event.index]);
            live = event.request ? live + bytes : live - bytes;
            largest_live = std::max(largest_live, live);
        }
        for (std::size_t a = 0; a < plan.entries.size(); ++a) {
            const Plan::Entry& one = plan.entries[a];
            CHECK(one.bytes == round_up(trace.bytes[a]));
            CHECK(one.offset % 64 == 0);
            last_byte = std::max(last_byte, one.offset + one.bytes);
            for (std::size_t b = 0; b < a; ++b) {
                const Plan::Entry& other = plan.entries[b];
                const bool together = one.first <= other.last && other.first <= one.last;
                const bool touching =
                    one.offset < other.offset + other.bytes && other.offset < one.offset + one.bytes;
                if (together && touching) ++overlaps;
            }
        }
        CHECK(overlaps == 0);
        CHECK(plan.bytes == last_byte);
        CHECK(plan.live_bytes == largest_live);
        CHECK(plan.bytes >= plan.live_bytes);
        CHECK(plan.bytes <= 2 * plan.live_bytes);
    }
}

TEST_CASE("arena: a run uses exactly what was planned and every buffer keeps its bytes") {
    for (unsigned seed = 100; seed < 115; ++seed) {
        CAPTURE(seed);
        const Trace trace = random_trace(seed, 150);
        Arena arena(Device::cpu);
        arena.poison_released(true);
        const Plan plan = plan_trace(arena, trace);
        for (int repetition = 0; repetition < 2; ++repetition) {
            std::size_t damaged = 0;
            arena.begin_run(plan);
            replay(
                arena, trace,
                [&](BufferId buffer, std::size_t index) {
                    std::memset(arena.address(buffer), static_cast<int>(index % 251), trace.bytes[index]);
                },
                [&](BufferId buffer, std::size_t index) {
                    const std::byte* bytes = arena.address(buffer);
                    for (std::size_t i = 0; i < trace.bytes[index]; ++i)
                        if (bytes[i] != static_cast<std::byte>(index % 251)) ++damaged;
                });
            arena.end_run();
            CHECK(damaged == 0);
        }
        CHECK(arena.used_bytes() == plan.bytes);
        CHECK(arena.slab_bytes() == plan.bytes);
    }
}

TEST_CASE("arena: smaller requests fit, larger and unplanned ones throw") {
    Arena arena(Device::cpu);
    const Plan plan = plan_of(arena, [&] { arena.allocate(1000); });
    const auto run = [&](auto job) {
        arena.begin_run(plan);
        job();
        arena.end_run();
    };
    run([&] { arena.allocate(1); });
    CHECK(arena.used_bytes() == 64);
    run([&] { arena.allocate(1024); });
    CHECK(arena.used_bytes() == 1024);
    run([&] { CHECK_THROWS_AS(arena.allocate(1025), std::logic_error); });
    run([&] {
        arena.allocate(1000);
        CHECK_THROWS_AS(arena.allocate(1), std::logic_error);
    });
    CHECK_THROWS_AS(arena.allocate(1), std::logic_error);
}

TEST_CASE("arena: planning and running do not nest") {
    Arena arena(Device::cpu);
    const Plan plan = plan_of(arena, [&] {
        CHECK(arena.planning());
        CHECK_THROWS_AS(arena.begin_planning(), std::logic_error);
        CHECK_THROWS_AS(arena.begin_run({}), std::logic_error);
    });
    CHECK_FALSE(arena.planning());
    arena.begin_run(plan);
    CHECK_THROWS_AS(arena.begin_planning(), std::logic_error);
    CHECK_THROWS_AS(arena.begin_run(plan), std::logic_error);
    arena.end_run();
}

TEST_CASE("arena: a buffer lives until its last owner releases it") {
    Arena arena(Device::cpu);
    const auto job = [&](std::int64_t owners) {
        const BufferId first = arena.allocate(64);
        for (std::int64_t i = 1; i < owners; ++i) arena.retain(first);
        CHECK(arena.owners(first) == owners);
        arena.release(first);
        const BufferId second = arena.allocate(64);
        for (std::int64_t i = 1; i < owners; ++i) arena.release(first);
        arena.release(second);
    };
    CHECK(plan_of(arena, [&] { job(1); }).bytes == 64);
    CHECK(plan_of(arena, [&] { job(3); }).bytes == 128);
}

TEST_CASE("arena: the iterations of a loop share the buffers of the first") {
    Arena arena(Device::cpu);
    std::int64_t calls = 0;
    const auto job = [&](std::int64_t count) {
        arena.loop(count, [&](std::int64_t i) {
            const BufferId outer = arena.allocate(256);
            if (!arena.planning()) std::memset(arena.address(outer), static_cast<int>(i + 1), 256);
            arena.loop(3, [&](std::int64_t) {
                ++calls;
                const BufferId inner = arena.allocate(128);
                if (!arena.planning()) std::memset(arena.address(inner), 0xEE, 128);
                arena.release(inner);
            });
            if (!arena.planning()) CHECK(arena.address(outer)[255] == static_cast<std::byte>(i + 1));
            arena.release(outer);
        });
    };
    const Plan plan = plan_of(arena, [&] { job(5); });
    CHECK(calls == 1);
    CHECK(plan.entries.size() == 2);
    CHECK(plan.bytes == 384);
    arena.begin_run(plan);
    job(5);
    arena.end_run();
    CHECK(calls == 1 + 15);
    CHECK(arena.used_bytes() == plan.bytes);
    CHECK(plan_of(arena, [&] { job(0); }).entries.empty());
    CHECK(calls == 16);
}

TEST_CASE("arena: a buffer that outlives its loop is refused") {
    Arena arena(Device::cpu);
    const auto job = [&] { arena.loop(2, [&](std::int64_t) { arena.allocate(64); }); };
    const Plan plan = plan_of(arena, job);
    arena.begin_run(plan);
    CHECK_THROWS_AS(job(), std::logic_error);
    arena.end_run();
}

TEST_CASE("arena: a released buffer is filled with NaN when asked for") {
    Arena arena(Device::cpu);
    arena.poison_released(true);
    const Plan plan = plan_of(arena, [&] { arena.release(arena.allocate(8)); });
    arena.begin_run(plan);
    const BufferId buffer = arena.allocate(8);
    float* values = reinterpret_cast<float*>(arena.address(buffer));
    values[0] = values[1] = 1.0f;
    arena.release(buffer);
    CHECK(std::isnan(values[0]));
    CHECK(std::isnan(values[1]));
    arena.end_run();
}

TEST_CASE("arena: planning takes no memory, whatever the sizes") {
    constexpr std::size_t tebibyte = std::size_t{1} << 40;
    Arena arena(Device::cpu);
    const Plan plan = plan_of(arena, [&] {
        const BufferId first = arena.allocate(tebibyte), second = arena.allocate(tebibyte);
        arena.release(first);
        arena.release(second);
        arena.release(arena.allocate(tebibyte / 2));
    });
    CHECK(plan.bytes == 2 * tebibyte);
    CHECK(plan.live_bytes == 2 * tebibyte);
    CHECK(arena.slab_bytes() == 0);
    CHECK(arena.used_bytes() == 0);
}

TEST_CASE("arena: one slab serves several plans and grows to the largest") {
    Arena arena(Device::cpu);
    const Plan small = plan_of(arena, [&] { arena.allocate(64); });
    const Plan large = plan_of(arena, [&] { arena.allocate(1 << 20); });
    arena.begin_run(small);
    arena.end_run();
    CHECK(arena.slab_bytes() == 64);
    for (const Plan* plan : {&large, &small}) {
        arena.begin_run(*plan);
        std::memset(arena.address(arena.allocate(64)), 1, 64);
        arena.end_run();
        CHECK(arena.slab_bytes() == 1 << 20);
    }
}
