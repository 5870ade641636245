// Ctrl-C, SIGTERM and SIGHUP (the terminal was closed; not under nohup) as a request that the training loop
// looks at between two steps; SIGUSR1 too, which mpirun passes on to every rank (a SIGTERM makes mpirun kill
// them). A second Ctrl-C, SIGTERM or SIGUSR1 ends the process at once, as if it were killed: with exit code
// 130, 143 or 138 in a shell. Launchers and terminals send some signals twice: what comes within 100 ms of
// the first, and a further SIGHUP, changes nothing.
#pragma once

namespace stop_signals {

// To be called first in main(): from then on these signals are received only by a thread that waits for them.
// A handler would run on the stack of a computing thread, and the generated kernels of oneDNN's matrix
// product keep data below the stack pointer beyond the ABI's red zone. Threads that were there before main() (of
// a library that starts them as it is loaded, as OpenBLAS does if it is preloaded) pass on what they receive.
// SIGPIPE is ignored: a run continues without a reader of its output.
void receive();

// Before this a signal ends the process as usual, after it the first one sets requested().
void finish_step_first();
bool requested();

}  // namespace stop_signals
