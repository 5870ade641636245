// Progress of a job that writes a file of records, as a live line (runtime/base/live_line.h); ends the job
// after Ctrl-C or SIGTERM, so that no partial file is left.
#pragma once

#include <string>

#include "data/records/pack.h"

// A progress that starts its line with `what`, "packed" for instance; it throws Error after a signal.
PackProgress show_progress(std::string what);
