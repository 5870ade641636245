// Time per kernel, and names for the tools that watch a GPU.
#pragma once

#include <string>

// Off by default; when on, every launch is timed up to its completion, one kernel after the other, and
// `profile_table` prints the sums.
//
// Starts from zero and times every kernel launch from now on.
void start_profile();
bool profiling();
void add_to_profile(const char* kernel, double seconds);
// One line a kernel, longest first: name, calls, seconds, share.
std::string profile_table();

// A named range ("level 1", "block 3", a kernel) in Nsight Systems' timeline and Nsight Compute's filters, of
// the work queued during its lifetime. No effect in builds without NVTX.
class ProfileRange {
  public:
    // `number` follows the name unless it is negative. Without a listening tool this costs a few nanoseconds.
    explicit ProfileRange(const char* name, int number = -1);
    ~ProfileRange();
    ProfileRange(const ProfileRange&) = delete;
    ProfileRange& operator=(const ProfileRange&) = delete;
};
