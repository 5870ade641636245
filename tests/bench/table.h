// The one table the benchmark prints: a line per measurement, with the share of what the machine could do at
// best.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

// Seconds of one call.
struct Timing {
    double best = 0, median = 0;
};

// `repeats` samples of `call`. A call shorter than a few milliseconds is repeated within a sample, so that
// the clock's steps and the first touch of the caches do not count.
Timing measure(int repeats, const std::function<void()>& call);

// What the machine reaches at best.
struct Ceiling {
    double operations = 0;  // per second: measure_product (runtime/ceiling.h)
    double bytes = 0;  // per second, of copying 64 MiB or of a[i] = b[i] + s * c[i], whichever is more: far
                       // beyond the caches
};
double measure_bandwidth(int repeats);

enum class Bound { arithmetic, memory };

class Table {
  public:
    // `only`: names that contain it; "" for all.
    Table(int repeats, std::string only) : repeats_(repeats), only_(std::move(only)) {}

    int repeats() const { return repeats_; }
    bool wants(std::string_view name) const { return name.find(only_) != std::string_view::npos; }
    void begin(const Ceiling& ceiling);
    // A kernel: `amount` is its operations if it is bound by arithmetic, otherwise the bytes it moves by its
    // header's formula.
    void kernel(std::string_view name, std::string_view shape, Bound bound, double amount,
                const std::function<void()>& call);

  private:
    int repeats_;
    std::string only_;
    Ceiling ceiling_;
};

std::string processor_name();
