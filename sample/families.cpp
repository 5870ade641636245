// `build/sample families`: models of both families side by side: parameters, operations, time and quality, and their
// pictures on one sheet.
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/charts/prompt_sheet.h"
#include "data/images/image_file.h"
#include "data/records/picture_source.h"
#include "models/fractal/cost.h"
#include "models/nat/config.h"
#include "models/nat/cost.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/atomic_file.h"
#include "sample/jobs.h"
#include "sample/trained_run.h"

namespace {

struct FamiliesJob {
    std::vector<std::string> runs;
    std::string sheet;
};

constexpr int pictures_in_row = 10;

struct Row {
    TrainedRun trained;
    double training_operations = 0;  // of the whole run
    nlohmann::json quality;
    std::filesystem::path quality_path;

    double number(const char* key) const { return json_number(quality, key, quality_path); }
    // "0.373 (0.039)": a mean and, over several seeds, its standard error.
    std::string figure(const char* key, int digits) const {
        const std::string mean = fmt::format("{:.{}f}", number(key), digits);
        if (!quality.contains("standard_errors")) return mean;
        return fmt::format("{} ({:.{}f})", mean, json_number(quality["standard_errors"], key, quality_path),
                           digits);
    }
};

// Forward and backward of one image: a fractal's by its cost, a transformer's as three passes.
double training_operations(const nlohmann::json& model, const std::string& source) {
    if (!model.is_object() || !model.contains("img_size_list"))
        return 3 * 2 * pass_multiply_adds(parse_nat_config(json_text(model), source));
    const FractalConfig config = parse_fractal_config(json_text(model), source);
    return fractal_cost(config, {recommended_iterations(config), false}).sum(&NetworkCost::training);
}

Row read_row(const std::string& folder) {
    const std::filesystem::path path(folder);
    Row row;
    row.trained = read_trained_run(folder);
    row.training_operations =
        row.trained.images * training_operations(row.trained.model, (path / "config.json").string());
    row.quality_path = path / "quality.json";
    if (!std::filesystem::exists(row.quality_path))
        fail("{}: missing; build/sample evaluate quality --checkpoint {} ... --json > {} makes it",
             row.quality_path.string(), (path / "last.safetensors").string(), row.quality_path.string());
    row.quality = read_json_object(row.quality_path);
    return row;
}

// Figures of different references, features or numbers of pictures are no comparison.
void require_comparable(const std::vector<Row>& rows) {
    const Row& first = rows.front();
    for (const Row& row : rows)
        for (const char* key : {"fingerprint", "convention", "generated", "reference"}) {
            const nlohmann::json &expected = json_member(first.quality, key, first.quality_path),
                                 &found = json_member(row.quality, key, row.quality_path);
            if (found != expected)
                fail("{}: {} is {}, expected {} as in {}", row.quality_path.string(), key, shown(found),
                     shown(expected), first.quality_path.string());
        }
}

void print_table(const std::vector<Row>& rows) {
    const char* distance = rows.front().quality.contains("fid") ? "fid" : "fd";
    fmt::print("{:<28}{:>12}{:>18}{:>12}{:>18}{:>20}{:>18}{:>18}{:>18}{:>15}\n", "", "parameters",
               "TFLOP, training", "trained, s", distance == std::string("fid") ? "FID" : "FD",
               "kernel distance", "precision", "recall", "GFLOP, drawing", "drawing, ms");
    for (const Row& row : rows)
        fmt::print("{:<28}{:>12.0f}{:>18.2f}{:>12.1f}{:>18}{:>20}{:>18}{:>18}{:>18.3f}{:>15.2f}\n",
                   row.trained.folder, row.number("parameters"), row.training_operations / 1e12,
                   row.trained.seconds, row.figure(distance, 3), row.figure("kid", 4),
                   row.figure("precision", 3), row.figure("recall", 3),
                   row.number("operations_per_picture") / 1e9, 1e3 * row.number("seconds_per_picture"));
    fmt::print(
        "\nTFLOP, training: forward and backward of all images, by formula; trained: time of the updates "
        "alone\n"
        "drawing: of one picture, with guidance and a tokenizer's decoder; in brackets: standard errors over "
        "seeds\n");
}

// A row of pictures of each run, its name under them.
Image sheet_of(const std::vector<Row>& rows) {
    std::vector<std::uint8_t> pictures;
    std::vector<std::string> names;
    int size = 0;
    for (const Row& row : rows) {
        const std::filesystem::path folder(row.trained.folder);
        const auto source = open_pictures((folder / "pictures").string());
        if (size == 0) size = source->width();
        if (source->count() < pictures_in_row || source->width() != size || source->height() != size)
            fail("{}: {} pictures of {}x{} pixels, expected at least {} of {}x{}", source->name(),
                 source->count(), source->width(), source->height(), pictures_in_row, size, size);
        std::ranges::copy(source->read(0, pictures_in_row), std::back_inserter(pictures));
        names.push_back(folder.filename().string());
    }
    return prompt_sheet(pictures, PictureSource::channels(), size, pictures_in_row, names);
}

void run_families(const FamiliesJob& job) {
    if (!job.sheet.empty()) require_writable(job.sheet);
    std::vector<Row> rows;
    for (const std::string& folder : job.runs) rows.push_back(read_row(folder));
    require_comparable(rows);
    if (!job.sheet.empty()) write_png(job.sheet, sheet_of(rows));
    print_table(rows);
}

}  // namespace

void add_families_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "families",
        "Compare trained models of both families: operations, time and quality of their pictures");
    const auto job = std::make_shared<FamiliesJob>();
    command
        ->add_option(
            "RUN", job->runs,
            "Folders of runs, each with config.json, log.csv and quality.json, the output of evaluate "
            "quality --json with --checkpoint")
        ->required();
    command
        ->add_option(
            "--sheet", job->sheet,
            "PNG file to write: ten pictures of each run, from its folder pictures, which --each fills")
        ->type_name("FILE");
    command->callback([job] { run_families(*job); });
}
