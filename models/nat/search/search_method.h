// An optimiser of generation strategies in the ask-and-tell form: ask() returns the points whose objectives
// are wanted next, tell() takes the objectives and makes the update.
//
//   while (!method->finished()) {
//       evaluate every point of method->ask(), in any order or side by side;
//       method->tell(objectives);
//       save method->state();
//   }
//
// The points of one ask() belong to one update: they should see the same random numbers (seeded by update()),
// so that their differences show the strategies and not the noise. A lower objective is better.
//
// A method has no hidden state. ask() changes nothing, random numbers are Philox keyed by (seed, update), and
// state() holds every number exactly: a search that was killed and restored continues to the same bits, on
// the same kind of processor (cma_es.h says why).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/nat/number_lists.h"
#include "models/nat/search/search_space.h"

struct SearchPoint {
    // What it is evaluated for: "stp_K", the iterate after K updates, for every method; otherwise the
    // method's (its header says which).
    std::string phase;
    std::vector<double> x;  // [4T - 2]
};

struct LearningRates {
    double ratios = 0, others = 0;
};

class SearchMethod {
  public:
    virtual ~SearchMethod() = default;
    SearchMethod(const SearchMethod&) = delete;
    SearchMethod& operator=(const SearchMethod&) = delete;

    virtual std::string_view name() const = 0;
    // Of the update to come, where the method has any.
    virtual std::optional<LearningRates> learning_rates() const { return std::nullopt; }

    const SearchSpace& space() const { return space_; }
    std::int64_t update() const { return update_; }            // updates done
    std::int64_t evaluations() const { return evaluations_; }  // objectives told so far
    // Where the search stands, within the bounds, [4T - 2]: its result, if it ends here.
    const std::vector<double>& iterate() const { return iterate_; }

    // The points of this update: the iterate, where its objective is due and not known, then the method's.
    // After the last update the iterate alone; then, finished, none.
    std::vector<SearchPoint> ask() const;
    bool finished() const { return update_ >= updates_ && objective_.has_value(); }
    // Objectives of the points of ask(), in their order. Throws Error, and nothing has changed, if one is not
    // finite; std::logic_error for another number of them.
    void tell(std::span<const double> objectives);

    // Settings and variables as JSON on one line.
    std::string state() const;
    // Continues from a state() of the same method, space, start and settings; the number of updates may
    // differ. Throws UsageError, starting with `source`, for any other text.
    void restore(std::string_view text, std::string_view source);

  protected:
    // `updates` in all; the iterate's objective is asked for every `iterate_every` updates and at the end.
    // Throws UsageError unless both are positive and updates fit 32 bits.
    SearchMethod(SearchSpace space, const Strategy& start, std::int64_t updates, std::int64_t iterate_every);

    // Of the iterate, if it was asked for in this update.
    std::optional<double> objective() const { return objective_; }
    const std::vector<double>& start() const { return start_; }
    std::uint32_t step() const { return static_cast<std::uint32_t>(update_); }  // of random numbers
    // Puts the searched coordinates into the bounds.
    void set_iterate(std::vector<double> x);

    virtual std::vector<SearchPoint> probes() const = 0;
    // One update, from the objectives of probes().
    virtual void advance(std::span<const double> objectives) = 0;
    // What decides the trajectory, and what changes along it, the members of this class aside. The lists of
    // variables() have the same lengths at all times; set_variables() gets such lists.
    virtual NumberLists settings() const = 0;
    virtual NumberLists variables() const = 0;
    virtual void set_variables(const NumberLists& lists) = 0;

  private:
    bool asks_for_iterate() const;
    NumberLists all_settings() const;
    NumberLists all_variables() const;

    SearchSpace space_;
    std::int64_t updates_, iterate_every_;
    std::int64_t update_ = 0, evaluations_ = 0;
    std::vector<double> start_, iterate_;
    std::optional<double> objective_;
};

// The unit of length of the methods that move all coordinates at once. From AutoNAT's start to the released
// 8-step strategy it is 0.05 in a ratio and 0.5 (guidance) to 0.9 (temperatures) in the rest, root mean
// squares; 0.3 keeps the first points of temperatures near 1 well above 0.
struct SearchScales {
    double ratios = 0.05, others = 0.3;
    double of(const SearchSpace& space, std::size_t coordinate) const {
        return space.is_ratio(coordinate) ? ratios : others;
    }
};

// A 64-bit seed as two numbers that a double holds exactly, for settings().
std::vector<double> seed_numbers(std::uint64_t seed);
// Of a setting. Throws UsageError unless it is positive and finite.
void require_positive(double value, std::string_view name);
