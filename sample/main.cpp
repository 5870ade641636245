// build/sample: draws images from trained models and measures them, one subcommand a job.
#include "runtime/base/command_line.h"
#include "runtime/device/device.h"
#include "runtime/ranks/comm.h"
#include "sample/jobs.h"

int main(int argument_count, char** arguments) {
    flush_denormals();
    Comm comm("sample");  // only `evaluate quality` shares its work among ranks
    CommandLine app("Draws images from trained models, measures and describes them.");
    add_fractal_sampling_job(app);
    add_edit_job(app);
    add_nat_job(app);
    add_evaluate_job(app, comm);
    add_info_job(app);
    add_cost_job(app);
    add_levels_job(app);
    add_families_job(app);
    add_convert_job(app);
    add_reconstruct_job(app);
    add_plot_job(app);
    add_strategy_job(app);
    add_strategies_job(app);
    add_compress_job(app);
    add_decompress_job(app);
    return comm.finish(run_program(app, "sample", argument_count, arguments,
                                   [&](const std::exception& error) { comm.report(error.what()); }));
}
