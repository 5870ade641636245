#include "tests/emulator/scheduler.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <array>
#include <bit>
#include <boost/context/detail/fcontext.hpp>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <random>
#include <vector>
#ifdef __SSE__
#include <immintrin.h>
#endif
#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

thread_local constinit uint3 threadIdx{}, blockIdx{};
thread_local constinit dim3 blockDim, gridDim;

namespace emulator {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t stack_bytes = 512 * 1024;
#else
constexpr std::size_t stack_bytes = 128 * 1024;
#endif
constexpr std::size_t page_bytes = 4096, guard_bytes = 64, shared_limit = 227 * 1024;
constexpr int max_threads = 1024, warp_lanes = 32, max_warps = max_threads / warp_lanes;
constexpr std::uint32_t guard_word = 0xFFA5FFA5u;  // not a number, as float and as bf16

ThreadOrder the_order;

// A stack and where it was left.
struct Fiber {
    fcontext_t context = nullptr;
    std::byte* bottom = nullptr;
    std::size_t bytes = 0;
    void* fake_stack = nullptr;  // of the address sanitizer
};

enum class State : std::uint8_t { ready, waiting_for_block, waiting_for_warp, done };

struct Thread {
    Fiber* fiber = nullptr;  // null: not started
    State state = State::ready;
    std::uint16_t number = 0;  // in the block
    uint3 index{};
    int group = 0;  // of asynchronous copies, the one not yet committed
    std::vector<PendingCopy> copies;
};

struct Lane {
    WarpOperation operation{};
    unsigned mask = 0;
    int source = 0;
    std::uint64_t value = 0;
    void* data = nullptr;
    Where where;
};

struct Warp {
    unsigned waiting = 0;
    std::array<Lane, warp_lanes> lanes;
};

struct SharedArray {
    std::size_t offset, bytes, element_bytes;
};

std::string text(const Where& where) {
    std::string_view file = where.file_name();
    return fmt::format("{}:{}", file, where.line());
}

bool same(const Where& a, const Where& b) {
    return a.line() == b.line() &&
           (a.file_name() == b.file_name() || !std::strcmp(a.file_name(), b.file_name()));
}

// Runs blocks, one after another, on the host thread it belongs to.
class Worker {
  public:
    Worker() {
        shared_ = static_cast<std::byte*>(
            ::mmap(nullptr, shared_room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (shared_ == MAP_FAILED) std::terminate();
        ready_.fill(0);
    }
    ~Worker() {
        ::munmap(shared_, shared_room);
        for (const auto& fiber : fibers_) ::munmap(fiber->bottom - page_bytes, fiber->bytes + page_bytes);
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    bool run_block(const Grid& grid, uint3 block);
    const std::string& error() const { return error_; }
    bool active() const { return current_ != nullptr; }

    [[noreturn]] void fail(const std::string& message);
    int wait_for_block(BlockOperation operation, bool predicate, const Where& where);
    std::uint64_t wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source,
                                void* data, void (*compute)(void* const*), const Where& where);
    void* shared_array(int index, std::size_t bytes, std::size_t element_bytes);
    Thread& current() { return *current_; }

  private:
    // Room for the shared arrays of a block with a guard behind each.
    static constexpr std::size_t shared_room = shared_limit + 1024 * 1024;

    void start_block(const Grid& grid, uint3 block);
    void abandon();
    std::string deadlock() const;
    std::string check_guards() const;

    void make_ready(int number);
    Thread* take_ready();
    int first_ready(int from) const;
    int last_ready() const;
    Fiber& idle_fiber();
    void resume(Thread& thread);
    void leave();
    void jump(Fiber& from, Fiber& to);
    void arrived(void* from);
    [[noreturn]] void fiber_loop();
    static void fiber_main(transfer_t transfer);
    void run_current();

    void check_lanes(const Warp& warp, const Lane& mine, int lane);

    const Grid* grid_ = nullptr;
    int threads_ = 0, alive_ = 0;
    Thread* current_ = nullptr;
    Fiber* fiber_ = nullptr;  // running
    Fiber host_;              // the context of run_block
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> idle_;
    std::array<Thread, max_threads> thread_{};
    std::array<Warp, max_warps> warps_{};
    std::array<std::uint64_t, max_threads / 64> ready_;
    std::mt19937_64 random_;
    std::string error_;

    int arrived_ = 0, predicates_ = 0, votes_ = 0;
    BlockOperation block_operation_{};
    Where block_where_;

    std::byte* shared_ = nullptr;
    std::size_t shared_used_ = 0, shared_taken_ = 0;
    std::vector<SharedArray> arrays_;
};

thread_local std::unique_ptr<Worker> the_worker;
thread_local Worker* worker_in_kernel = nullptr;

Worker& worker() {
    if (!the_worker) the_worker = std::make_unique<Worker>();
    return *the_worker;
}

// ---- fibers ---------------------------------------------------------------------------------------------

Fiber& Worker::idle_fiber() {
    if (idle_.empty()) {
        void* memory = ::mmap(nullptr, stack_bytes + page_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) fail("no memory for the stack of a thread");
        ::mprotect(memory, page_bytes, PROT_NONE);
        Fiber& fiber = *fibers_.emplace_back(std::make_unique<Fiber>());
        fiber.bottom = static_cast<std::byte*>(memory) + page_bytes;
        fiber.bytes = stack_bytes;
        idle_.push_back(&fiber);
    }
    Fiber& fiber = *idle_.back();
    idle_.pop_back();
    if (fiber.context == nullptr) {
        // Stacks start at different offsets in their pages: else they would compete for the same lines of
        // the first-level cache.
        const std::size_t offset = reinterpret_cast<std::uintptr_t>(&fiber) / 64 % 32 * 128;
#ifdef __SSE__
        const unsigned control = _mm_getcsr();
        _mm_setcsr(0x1F80);  // denormal floats are numbers on the card; a context keeps this register
#endif
        fiber.context = make_fcontext(fiber.bottom + fiber.bytes - offset, fiber.bytes - offset, fiber_main);
#ifdef __SSE__
        _mm_setcsr(control);
#endif
    }
    return fiber;
}

void Worker::jump(Fiber& from, Fiber& to) {
    fiber_ = &to;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.bytes);
#endif
    const transfer_t transfer = jump_fcontext(to.context, &from);
    arrived(transfer.data);
    static_cast<Fiber*>(transfer.data)->context = transfer.fctx;
}

// On the new stack, after a jump.
void Worker::arrived([[maybe_unused]] void* from) {
#ifdef __SANITIZE_ADDRESS__
    const void* bottom = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(fiber_->fake_stack, &bottom, &bytes);
    fiber_->fake_stack = nullptr;
    if (from == &host_) {
        host_.bottom = static_cast<std::byte*>(const_cast<void*>(bottom));
        host_.bytes = bytes;
    }
#endif
}

void Worker::fiber_main(transfer_t transfer) {
    Worker& self = *worker_in_kernel;
    self.arrived(transfer.data);
    static_cast<Fiber*>(transfer.data)->context = transfer.fctx;
    self.fiber_loop();
}

// Runs threads from begin to end; those that never wait share one fiber.
void Worker::fiber_loop() {
    for (;;) {
        run_current();
        current_->state = State::done;
        --alive_;
        Fiber& self = *fiber_;
        current_->fiber = nullptr;
        Thread* next = take_ready();
        if (next != nullptr && next->fiber == nullptr) {
            current_ = next;
            continue;
        }
        idle_.push_back(&self);
        if (next == nullptr) {
            jump(self, host_);
        } else {
            current_ = next;
            threadIdx = next->index;
            jump(self, *next->fiber);
        }
    }
}

void Worker::run_current() {
    threadIdx = current_->index;
    std::string problem;
    try {
        grid_->kernel();
        return;
    } catch (const std::exception& exception) {
        problem = exception.what();
    } catch (...) {
        problem = "an exception";
    }
    fail("threw: " + problem);
}

// From a thread that waits: to the next one that is ready, or to run_block if none is.
void Worker::leave() {
    Thread& self = *current_;
    Fiber& mine = *fiber_;
    self.fiber = &mine;
    Thread* next = take_ready();
    if (next == nullptr) {
        jump(mine, host_);
    } else if (next != &self) {
        current_ = next;
        threadIdx = next->index;
        jump(mine, next->fiber != nullptr ? *next->fiber : idle_fiber());
    }
}

// ---- which thread is next -------------------------------------------------------------------------------

void Worker::make_ready(int number) {
    thread_[number].state = State::ready;
    ready_[number / 64] |= std::uint64_t{1} << number % 64;
}

int Worker::first_ready(int from) const {
    for (int word = from / 64; word * 64 < threads_; ++word) {
        std::uint64_t bits = ready_[word];
        if (word == from / 64) bits &= ~std::uint64_t{0} << from % 64;
        if (bits != 0) return word * 64 + std::countr_zero(bits);
    }
    return -1;
}

int Worker::last_ready() const {
    for (int word = (threads_ - 1) / 64; word >= 0; --word)
        if (ready_[word] != 0) return word * 64 + 63 - std::countl_zero(ready_[word]);
    return -1;
}

Thread* Worker::take_ready() {
    int number = -1;
    if (the_order.order == Order::reversed) {
        number = last_ready();
    } else if (the_order.order == Order::shuffled) {
        number = first_ready(static_cast<int>(random_() % threads_));
        if (number < 0) number = first_ready(0);
    } else {
        number = first_ready(0);
    }
    if (number < 0) return nullptr;
    ready_[number / 64] &= ~(std::uint64_t{1} << number % 64);
    return &thread_[number];
}

// ---- a block --------------------------------------------------------------------------------------------

void Worker::start_block(const Grid& grid, uint3 block) {
    grid_ = &grid;
    blockIdx = block;
    blockDim = grid.threads;
    gridDim = grid.blocks;
    threads_ = alive_ = static_cast<int>(grid.threads.x * grid.threads.y * grid.threads.z);
    uint3 index{};
    for (int number = 0; number < threads_; ++number) {
        Thread& thread = thread_[number];
        thread.fiber = nullptr;
        thread.number = static_cast<std::uint16_t>(number);
        thread.index = index;
        thread.group = 0;
        thread.copies.clear();
        make_ready(number);
        if (++index.x == grid.threads.x) {
            index.x = 0;
            if (++index.y == grid.threads.y) index.y = 0, ++index.z;
        }
    }
    for (int warp = 0; warp * warp_lanes < threads_; ++warp) warps_[warp].waiting = 0;
    arrived_ = predicates_ = 0;
    shared_used_ = shared_taken_ = 0;
    arrays_.clear();
    error_.clear();
    if (the_order.order == Order::shuffled)
        random_.seed(the_order.seed + 1000003 * (block.x + 1009ull * block.y + 1000033ull * block.z));
}

bool Worker::run_block(const Grid& grid, uint3 block) {
    Worker* const outer = std::exchange(worker_in_kernel, this);
    start_block(grid, block);
    Thread* first = take_ready();
    current_ = first;
    jump(host_, idle_fiber());
    if (error_.empty() && alive_ > 0) error_ = deadlock();
    if (error_.empty()) error_ = check_guards();
    if (!error_.empty()) abandon();
    current_ = nullptr;
    worker_in_kernel = outer;
    return error_.empty();
}

// Forgets the threads of a block that failed: their fibers start anew.
void Worker::abandon() {
    ready_.fill(0);
    idle_.clear();
    for (const auto& fiber : fibers_) {
        fiber->context = nullptr;
        fiber->fake_stack = nullptr;
#ifdef __SANITIZE_ADDRESS__
        __asan_unpoison_memory_region(fiber->bottom, fiber->bytes);
#endif
        idle_.push_back(fiber.get());
    }
}

void Worker::fail(const std::string& message) {
    error_ = fmt::format("block ({}, {}, {}), thread ({}, {}, {}): {}", blockIdx.x, blockIdx.y, blockIdx.z,
                         threadIdx.x, threadIdx.y, threadIdx.z, message);
    jump(*fiber_, host_);
    std::terminate();  // nobody comes back to a failed thread
}

// No thread is ready and some have not ended.
std::string Worker::deadlock() const {
    const auto name = [&](const Thread& thread) {
        return fmt::format("thread ({}, {}, {})", thread.index.x, thread.index.y, thread.index.z);
    };
    const auto what = [&](const Thread& thread) -> std::string {
        if (thread.state == State::done) return "ended";
        if (thread.state == State::waiting_for_block) return "waits at the barrier " + text(block_where_);
        const Lane& lane = warps_[thread.number / warp_lanes].lanes[thread.number % warp_lanes];
        return fmt::format("waits for lanes {:#010x} at {}", lane.mask, text(lane.where));
    };
    std::string message = fmt::format("block ({}, {}, {}): ", blockIdx.x, blockIdx.y, blockIdx.z);
    for (int number = 0; number < threads_; ++number) {
        const Thread& thread = thread_[number];
        if (thread.state != State::waiting_for_warp) continue;
        const Warp& warp = warps_[number / warp_lanes];
        const unsigned mask = warp.lanes[number % warp_lanes].mask;
        const int missing = number / warp_lanes * warp_lanes + std::countr_zero(mask & ~warp.waiting);
        message += fmt::format("{} {}, ", name(thread), what(thread));
        return message + (missing < threads_ ? name(thread_[missing]) + " " + what(thread_[missing])
                                             : "but the block ends before that");
    }
    message +=
        fmt::format("barrier {} was reached by {} of {} threads: ", text(block_where_), arrived_, threads_);
    for (int number = 0; number < threads_; ++number)
        if (thread_[number].state != State::waiting_for_block)
            return message + name(thread_[number]) + " " + what(thread_[number]);
    return message;
}

// ---- barriers -------------------------------------------------------------------------------------------

int Worker::wait_for_block(BlockOperation operation, bool predicate, const Where& where) {
    Thread& self = *current_;
    if (arrived_ == 0) {
        block_operation_ = operation;
        block_where_ = where;
        predicates_ = 0;
    } else if (operation != block_operation_ || !same(where, block_where_)) {
        fail(fmt::format("arrives at the barrier {} while {} threads wait at {}", text(where), arrived_,
                         text(block_where_)));
    }
    predicates_ += predicate;
    if (++arrived_ < threads_) {
        self.state = State::waiting_for_block;
        leave();
        return votes_;  // cannot change before this thread arrives again
    }
    arrived_ = 0;
    votes_ = predicates_;
    for (int number = 0; number < threads_; ++number) make_ready(number);
    leave();
    return votes_;
}

// All lanes of a mask have arrived: at the same operation, at the same place, with the same mask?
void Worker::check_lanes(const Warp& warp, const Lane& mine, int lane) {
    for (unsigned rest = mine.mask; rest != 0; rest &= rest - 1) {
        const Lane& other = warp.lanes[std::countr_zero(rest)];
        if (other.operation == mine.operation && other.mask == mine.mask && same(other.where, mine.where))
            continue;
        fail(fmt::format("lane {} is at {} with mask {:#010x}, lane {} at {} with mask {:#010x}", lane,
                         text(mine.where), mine.mask, std::countr_zero(rest), text(other.where), other.mask));
    }
}

std::uint64_t Worker::wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source,
                                    void* data, void (*compute)(void* const*), const Where& where) {
    Thread& self = *current_;
    const int lane = self.number % warp_lanes, first = self.number - lane;
    Warp& warp = warps_[self.number / warp_lanes];
    Lane& mine = warp.lanes[lane];
    if ((mask >> lane & 1u) == 0)
        fail(fmt::format("lane {} is not in its mask {:#010x} at {}", lane, mask, text(where)));
    mine = {operation, mask, source, value, data, where};
    warp.waiting |= 1u << lane;
    if ((warp.waiting & mask) != mask) {
        self.state = State::waiting_for_warp;
        leave();
        return mine.value;
    }
    check_lanes(warp, mine, lane);
    if (operation == WarpOperation::shuffle) {
        std::array<std::uint64_t, warp_lanes> values;
        for (int i = 0; i < warp_lanes; ++i)
            values[i] = mask >> i & 1u ? warp.lanes[i].value : ~std::uint64_t{0};
        for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
            Lane& each = warp.lanes[std::countr_zero(rest)];
            each.value = values[each.source];
        }
    } else if (compute != nullptr) {
        std::array<void*, warp_lanes> all;
        for (int i = 0; i < warp_lanes; ++i) all[i] = warp.lanes[i].data;
        compute(all.data());
    } else if (operation != WarpOperation::barrier) {
        unsigned votes = 0;
        for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
            const int i = std::countr_zero(rest);
            votes |= static_cast<unsigned>(warp.lanes[i].value != 0) << i;
        }
        for (unsigned rest = mask; rest != 0; rest &= rest - 1)
            warp.lanes[std::countr_zero(rest)].value = votes;
    }
    warp.waiting &= ~mask;
    for (unsigned rest = mask; rest != 0; rest &= rest - 1) make_ready(first + std::countr_zero(rest));
    const std::uint64_t result = mine.value;
    leave();
    return result;
}

// ---- shared memory --------------------------------------------------------------------------------------

void* Worker::shared_array(int index, std::size_t bytes, std::size_t element_bytes) {
    const auto number = static_cast<std::size_t>(index);
    if (number < arrays_.size()) {
        const SharedArray& array = arrays_[number];
        if (array.bytes != bytes || array.element_bytes != element_bytes)
            fail(fmt::format(
                "shared array {} is {} bytes in elements of {} for this thread, {} in elements of {} "
                "for another",
                index, bytes, element_bytes, array.bytes, array.element_bytes));
        return shared_ + array.offset;
    }
    const std::size_t rounded = (bytes + 15) / 16 * 16;
    if (shared_taken_ + rounded > grid_->shared_bytes)
        fail(fmt::format("shared arrays of {} bytes, but the launch gave {}", shared_taken_ + rounded,
                         grid_->shared_bytes));
    shared_taken_ += rounded;
    if (shared_used_ + rounded + 2 * guard_bytes + 16 > shared_room) fail("too many shared arrays");
    std::byte* const end = shared_ + shared_used_ + guard_bytes + rounded + guard_bytes;
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(shared_ + shared_used_, end - (shared_ + shared_used_));
#endif
    for (std::byte* at = shared_ + shared_used_; at < end; at += 4) std::memcpy(at, &guard_word, 4);
    const SharedArray array{shared_used_ + guard_bytes, bytes, element_bytes};
    arrays_.push_back(array);
    std::memset(shared_ + array.offset, 0xFF, bytes);
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(shared_ + array.offset - guard_bytes, guard_bytes);
    __asan_poison_memory_region(shared_ + array.offset + bytes, end - (shared_ + array.offset + bytes));
#endif
    shared_used_ = static_cast<std::size_t>(end - shared_) - guard_bytes;  // guards are shared by neighbours
    return shared_ + array.offset;
}

std::string Worker::check_guards() const {
#ifndef __SANITIZE_ADDRESS__
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
        const std::size_t begin = arrays_[i].offset + arrays_[i].bytes,
                          end = (begin + 15) / 16 * 16 + guard_bytes;
        const auto* guard = reinterpret_cast<const unsigned char*>(&guard_word);
        for (std::size_t at = begin; at < end; ++at)
            if (std::to_integer<unsigned char>(shared_[at]) != guard[at % 4])
                return fmt::format("block ({}, {}, {}): wrote {} bytes behind shared array {} of {} bytes",
                                   blockIdx.x, blockIdx.y, blockIdx.z, at - begin, i, arrays_[i].bytes);
    }
#endif
    return "";
}

}  // namespace

// ---- the grid -------------------------------------------------------------------------------------------

void set_thread_order(Order order, std::uint64_t seed) {
    the_order = {order, seed};
}
ThreadOrder thread_order() {
    return the_order;
}

bool in_kernel() {
    return worker_in_kernel != nullptr;
}

std::string run(const Grid& grid) {
    const std::uint64_t blocks = std::uint64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z;
    // Shuffled blocks: i -> (stride i + offset) mod blocks, with a stride prime to their number.
    std::uint64_t stride = 1, offset = 0;
    if (the_order.order == Order::shuffled) {
        std::mt19937_64 random(the_order.seed);
        offset = random() % blocks;
        stride = (random() >> 34) % blocks + 1;
        while (std::gcd(stride, blocks) != 1) ++stride;
    }
    Worker& mine = worker();
    for (std::uint64_t i = 0; i < blocks; ++i) {
        std::uint64_t number = i;
        if (the_order.order == Order::reversed) number = blocks - 1 - i;
        if (the_order.order == Order::shuffled)
            number =
                static_cast<std::uint64_t>((static_cast<unsigned __int128>(stride) * i + offset) % blocks);
        const uint3 block{static_cast<unsigned>(number % grid.blocks.x),
                          static_cast<unsigned>(number / grid.blocks.x % grid.blocks.y),
                          static_cast<unsigned>(number / grid.blocks.x / grid.blocks.y)};
        if (!mine.run_block(grid, block)) return mine.error();
    }
    return "";
}

void fail(const std::string& message) {
    worker_in_kernel->fail(message);
}

int wait_for_block(BlockOperation operation, bool predicate, const Where& where) {
    return worker_in_kernel->wait_for_block(operation, predicate, where);
}

std::uint64_t wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source,
                            const Where& where) {
    return worker_in_kernel->wait_for_warp(operation, mask, value, source, nullptr, nullptr, where);
}

void compute_with_warp(WarpOperation operation, void* data, void (*compute)(void* const*),
                       const Where& where) {
    worker_in_kernel->wait_for_warp(operation, 0xFFFFFFFFu, 0, 0, data, compute, where);
}

int lane() {
    return worker_in_kernel->current().number % warp_lanes;
}

void* shared_array(int index, std::size_t bytes, std::size_t element_bytes) {
    return worker_in_kernel->shared_array(index, bytes, element_bytes);
}

void start_copy(void* shared, const void* global, bool valid) {
    Thread& thread = worker_in_kernel->current();
    thread.copies.push_back({shared, valid ? global : nullptr, thread.group});
}

void commit_copies() {
    ++worker_in_kernel->current().group;
}

bool finish_copy(int groups, PendingCopy& copy) {
    Thread& thread = worker_in_kernel->current();
    if (thread.copies.empty() || thread.copies.front().group >= thread.group - groups) return false;
    copy = thread.copies.front();
    thread.copies.erase(thread.copies.begin());
    return true;
}

}  // namespace emulator
