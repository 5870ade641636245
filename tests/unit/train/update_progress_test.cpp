#include "train/update_progress.h"

#include <doctest/doctest.h>

#include <vector>

#include "train/training_loop.h"

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("update progress: nothing is said of an update within its first ten seconds") {
    UpdateProgress progress(100);
    const UpdateProgress::Clock::time_point start{seconds(1000)};
    progress.begin(13, start);
    CHECK(progress.line(0.5, start + milliseconds(9999)) == "");
    CHECK_FALSE(progress.takes_line(start + milliseconds(9999)));
    CHECK(progress.line(0.25, start + seconds(20)) ==
          "step 13/100: 25 % of the update after 20 s, 1 min 00 s left");
    CHECK(progress.line(0, start + seconds(20)) == "step 13/100: 0 % of the update after 20 s");
}

TEST_CASE("update progress: lines that stay come after ten seconds and then each minute") {
    UpdateProgress progress(100);
    const UpdateProgress::Clock::time_point start{seconds(1000)};
    progress.begin(1, start);
    CHECK(progress.takes_line(start + seconds(12)));
    CHECK_FALSE(progress.takes_line(start + seconds(13)));
    CHECK_FALSE(progress.takes_line(start + seconds(71)));
    CHECK(progress.takes_line(start + seconds(72)));
    progress.begin(2, start + seconds(80));  // another update
    CHECK_FALSE(progress.takes_line(start + seconds(89)));
    CHECK(progress.takes_line(start + seconds(90)));
    CHECK(progress.line(0.5, start + seconds(90)).starts_with("step 2/100: 50 % of the update after 10 s"));
}

TEST_CASE("update progress: the parts of an update follow each other") {
    std::vector<double> shares;
    const StepProgress whole = [&](double share) { shares.push_back(share); };
    for (std::int64_t part = 0; part < 4; ++part)
        for (const double share : {0.0, 0.5}) part_of(whole, part, 4)(share);
    CHECK(shares == std::vector<double>{0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875});
    CHECK_FALSE(part_of({}, 0, 4));
}
