// `build/sample plot`: the curves of training runs as a picture.
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/charts/training_curves.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/files/output_file.h"
#include "sample/jobs.h"

namespace {

struct PlotJob {
    std::vector<std::string> runs;
    std::string out;
};

// Folder names, or where two runs have the same one, the folders as they were given.
std::vector<std::string> names_of(const std::vector<std::string>& folders) {
    std::vector<std::string> names;
    for (const std::string& folder : folders) names.push_back(run_name(folder));
    const bool differ = std::set(names.begin(), names.end()).size() == names.size();
    return differ ? names : folders;
}

void run_plot(const PlotJob& job) {
    if (job.runs.size() > most_compared_runs)
        fail_usage("--run: {} runs, expected at most {}", job.runs.size(), most_compared_runs);
    if (job.runs.size() > 1 && job.out.empty()) fail_usage("--out is required with more than one run");
    const std::vector<std::string> names = names_of(job.runs);
    const auto out = job.out.empty() ? std::filesystem::path(job.runs.front()) / "curves.png"
                                     : std::filesystem::path(job.out);
    std::vector<NamedLog> runs;
    for (std::size_t i = 0; i < job.runs.size(); ++i) {
        runs.push_back({names[i], read_training_log(std::filesystem::path(job.runs[i]) / "log.csv")});
        if (runs.back().log.rows() == 0)
            fail("{}: holds no row yet, expected those of a training run", runs.back().log.path.string());
    }
    std::vector<NamedPath> inputs;
    // log.csv, and the rest of the run as well: only its pictures may be drawn anew.
    for (const std::string& run : job.runs)
        for (const auto& entry : std::filesystem::directory_iterator(run))
            if (entry.path().extension() != ".png") inputs.push_back({"--run", entry.path()});
    require_distinct({"--out", out}, inputs);
    write_png(out, training_curves(runs));
    fmt::print("{}\n", out.string());
}

}  // namespace

void add_plot_job(CommandLine& app) {
    CommandLine* command =
        app.add_subcommand("plot", "Draw the curves of a training run, or of several over each other");
    const auto job = std::make_shared<PlotJob>();
    command->add_option("--run", job->runs, "Folders of runs, whose log.csv is drawn: one, or up to seven")
        ->type_name("DIR")
        ->required();
    command->add_option("--out", job->out, "PNG file (default: RUN/curves.png of the one run)")
        ->type_name("FILE");
    command->callback([job] { run_plot(*job); });
}
