// Batches gathered in a thread of their own, a few ahead of the training, in buffers that are used again.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

template <class Batch>
class Prefetcher {
  public:
    // `fill` is called in the thread, for the batches in their order; next() rethrows its exceptions.
    explicit Prefetcher(std::function<void(Batch&)> fill)
        : fill_(std::move(fill)), thread_(&Prefetcher::run, this) {}
    ~Prefetcher() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    Prefetcher(const Prefetcher&) = delete;
    Prefetcher& operator=(const Prefetcher&) = delete;

    // The next batch, valid until the next call.
    const Batch& next() {
        std::unique_lock lock(mutex_);
        ++handed_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return filled_ >= handed_ || failure_; });
        if (filled_ < handed_) std::rethrow_exception(failure_);
        return batches_[(handed_ - 1) % depth];
    }

  private:
    static constexpr std::size_t depth =
        4;  // batches: one in use by the caller, the others ready or being filled

    void run() {
        try {
            while (true) {
                Batch* batch;
                {
                    std::unique_lock lock(mutex_);
                    // The caller reads batch handed_ - 1, so batch number filled_ may not reach its place
                    // yet.
                    const auto place_is_free = [&] {
                        return filled_ + 1 < std::max<std::size_t>(handed_, 1) + depth;
                    };
                    changed_.wait(lock, [&] { return stopping_ || place_is_free(); });
                    if (stopping_) return;
                    batch = &batches_[filled_ % depth];
                }
                fill_(*batch);
                {
                    const std::lock_guard lock(mutex_);
                    ++filled_;
                }
                changed_.notify_all();
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            failure_ = std::current_exception();
            changed_.notify_all();
        }
    }

    const std::function<void(Batch&)> fill_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Batch batches_[depth];                 // batch k lies in batches_[k % depth]
    std::size_t filled_ = 0, handed_ = 0;  // batches so far
    bool stopping_ = false;
    std::exception_ptr failure_;

    std::thread thread_;  // last, so that it starts after all members are initialised
};
