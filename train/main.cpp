// build/train: trains models, one subcommand a job.
#include "runtime/base/command_line.h"
#include "runtime/device/device.h"
#include "runtime/ranks/comm.h"
#include "train/jobs.h"
#include "train/stop_signals.h"

int main(int argument_count, char** arguments) {
    stop_signals::receive();
    flush_denormals();
    Comm comm("train");
    CommandLine app("Trains generative image models. A run is a folder; starting it again continues it.");
    add_fractal_job(app, comm);
    add_tokenizer_job(app, comm);
    add_nat_job(app, comm);
    add_features_job(app, comm);
    add_strategy_search_job(app, comm);
    return comm.finish(run_program(app, argument_count, arguments,
                                   [&](const std::exception& error) { comm.report(error.what()); }));
}
