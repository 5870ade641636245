// Time per kernel. Off by default; when on, every launch is timed and `profile_table` prints the sums.
#pragma once

#include <string>

// Starts from zero and times every kernel launch from now on.
void start_profile();
bool profiling();
void add_to_profile(const char* kernel, double seconds);
// One line a kernel, longest first: name, calls, seconds, share.
std::string profile_table();
