// Ctrl-C and SIGTERM as a request that a job looks at between two pieces of its work, so that it ends with one
// line and no partial file.
#pragma once

// Before this a signal ends the process as usual, after it interrupted() tells of it.
void watch_interruption();
bool interrupted();
// A descriptor for poll(): readable once interrupted(), so that a job need not wait for its input any longer.
// After watch_interruption().
int interruption_descriptor();
