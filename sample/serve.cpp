#include "sample/serve.h"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>

#include "runtime/base/json_keys.h"
#include "runtime/base/one_line.h"
#include "sample/request.h"

namespace {

using Json = nlohmann::ordered_json;

void draw_request(const Request& request, Json& answer,
                  const std::function<Drawn(std::span<const FlagValues>)>& draw) {
    const auto start = std::chrono::steady_clock::now();
    const Drawn drawn = draw(request.flags);
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
    answer["images"] = drawn.images;
    answer["seed"] = drawn.seed;
    const auto name = [&](const char* key, const std::string& path) {
        if (!path.empty()) answer[key] = path;
    };
    name("out", drawn.outputs.out);
    name("each", drawn.outputs.each);
    name("trace", drawn.outputs.trace);
    answer["milliseconds"] = std::round(spent.count() * 100) / 100;
}

void write_answer(const Json& answer) {
    std::fputs((json_of_settings(answer) + "\n").c_str(), stdout);
    if (std::fflush(stdout) != 0) fail("standard output: cannot be written: {}", std::strerror(errno));
}

}  // namespace

void add_requests_flag(CommandLine& command, std::string& requests) {
    command
        .add_option(
            "--requests", requests,
            "Draw what each line of FILE (-: standard input, as it comes) asks for, the model and its memory "
            "kept. A line is a JSON object; its keys are \"id\" and this job's flags without dashes, but "
            "those of the model, its encoder and the device, with the values of this command line as "
            "defaults. "
            "A line of JSON answers it")
        ->type_name("FILE");
}

NamedPath requests_file(const std::string& requests) {
    return {"--requests", requests == "-" ? "" : requests};
}

void serve_requests(RequestLines& lines, const std::function<Drawn(std::span<const FlagValues>)>& draw) {
    while (const auto line = lines.next()) {
        const Request request = parse_request(*line);
        Json answer{{"line", lines.number()}};
        if (!request.id.empty()) answer["id"] = parse_ordered_json(request.id);
        const auto refuse = [&](const std::string& error) { answer["error"] = one_line(error); };
        try {
            if (request.error.empty())
                draw_request(request, answer, draw);
            else
                refuse(request.error);
        } catch (const std::bad_alloc&) {
            refuse("there is not enough memory for it");
        } catch (const std::exception& error) {
            refuse(error.what());
        }
        write_answer(answer);
    }
}
