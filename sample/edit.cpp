// `build/sample edit`: redraws a part of a picture.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/images/edit_mask.h"
#include "data/images/sheet.h"
#include "data/records/class_names.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/live_line.h"
#include "sample/fractal_drawing.h"
#include "sample/jobs.h"
#include "sample/picture_outputs.h"
#include "sample/trace.h"

namespace {

struct EditJob {
    FractalDrawFlags drawing;
    PictureOutputs outputs;
    std::string picture, mask, label;
    std::vector<int> box, outpaint, uncrop;
    std::int64_t count = 8, columns = 10;
};

// The requested class; -1: none.
std::int64_t chosen_class(const EditJob& job, const FractalMetadata& model) {
    if (!job.label.empty()) return class_number("--class", job.label, model.config.class_num, model.classes);
    const double guidance = job.drawing.drawing.guidance;
    if (guidance != 1) fail_usage("--cfg {}: guides towards a class, and no --class is given", guidance);
    return -1;
}

void run_job(const EditJob& job) {
    FractalDrawing model(job.drawing);
    const std::int64_t label = chosen_class(job, model.metadata());
    const int size = static_cast<int>(model.image_size()), channels = static_cast<int>(model.channels());
    const EditCanvas canvas =
        make_edit_canvas({job.picture, job.mask, job.box, job.outpaint, job.uncrop}, size, channels);
    const std::vector<std::uint8_t> mask = mask_of_model(model.config(), canvas.mask);
    require_editable(model.config(), mask);
    require_sheet(2 + job.count, channels, size, job.columns);
    std::vector<NamedPath> inputs = job.drawing.inputs();
    inputs.insert(inputs.end(), {{"--image", job.picture}, {"--mask", job.mask}});
    const PictureWriter writer(job.outputs, inputs, 0, job.count);
    const auto sampler = model.sampler(job.count, job.drawing.drawing);
    std::optional<TraceFolder> trace;
    if (!job.outputs.trace.empty()) {
        trace.emplace(job.outputs.trace, channels, size, static_cast<int>(std::min(job.count, job.columns)));
        sampler->trace(trace->recorder());
    }
    const std::vector<std::uint8_t> picture = planar_pixels(canvas.picture);
    const std::vector<std::int64_t> classes(static_cast<std::size_t>(job.count), label);
    const auto start = std::chrono::steady_clock::now();
    LiveLine line;
    sampler->watch([&](std::int64_t done, std::int64_t steps) {
        line.show(fmt::format("drawing {} results, step {} of {}", job.count, done, steps));
    });
    const auto images = sampler->edit(picture, canvas.mask, classes, job.drawing.drawing.rule());
    line.clear();
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    writer.write_each(0, images, channels, size, std::vector<std::string>(classes.size()));
    write_png(job.outputs.out, edit_sheet(canvas, images, static_cast<int>(job.columns)));
    if (trace) trace->write_animation();
    fmt::print("{} of {} {} redrawn {} times in {:.2f} s{}\n", std::count(mask.begin(), mask.end(), 1),
               mask.size(), model.config().of_codes() ? "tokens" : "pixels", job.count, spent.count(),
               job.outputs.where_written());
}

void add_region_flags(CommandLine& command, EditJob& job) {
    command
        .add_option("--mask", job.mask,
                    "Image of the picture's size: what is white is redrawn, down to single pixels")
        ->type_name("FILE");
    command.add_option("--box", job.box, "x,y,width,height in pixels of the picture: is redrawn")
        ->delimiter(',')
        ->expected(4);
    command
        .add_option("--outpaint", job.outpaint,
                    "north,east,south,west in pixels of the model: the picture is scaled to what they leave, "
                    "and they are drawn")
        ->delimiter(',')
        ->expected(4);
    command
        .add_option(
            "--uncrop", job.uncrop,
            "width,height in pixels of the model: the picture is scaled to that, and all around it is drawn")
        ->delimiter(',')
        ->expected(2);
}

}  // namespace

void add_edit_job(CommandLine& app) {
    CommandLine* command =
        app.add_subcommand("edit", "Redraw a part of a picture: inpaint, outpaint, uncrop, change its class");
    const auto job = std::make_shared<EditJob>();
    add_fractal_model_flags(*command, job->drawing);
    command
        ->add_option("--image", job->picture,
                     "JPEG or PNG file, turned as its EXIF orientation says; brought to the model's size if "
                     "it is larger")
        ->type_name("FILE")
        ->required();
    add_region_flags(*command, *job);
    command
        ->add_option("--class", job->label,
                     "Class to draw, by name or number; name:X and number:N if a number is also a name "
                     "(default: unconditional)")
        ->type_name("CLASS");
    command->add_option("--count", job->count, "Results")->capture_default_str()->check(within(1, 4096));
    command->add_option("--out", job->outputs.out, "PNG file for the sheet: original, hole, results")
        ->type_name("FILE")
        ->required();
    add_picture_folder_flags(*command, job->outputs, fractal_steps);
    command->add_option("--columns", job->columns, "Pictures in a row of the sheet")
        ->capture_default_str()
        ->check(at_least(1));
    add_draw_flags(*command, job->drawing.drawing);
    add_backend_flags(*command, job->drawing.drawing.backend);
    command->callback([job] { run_job(*job); });
}
