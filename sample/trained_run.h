// What the folder of a training run says of it: the files that build/train writes there, and JSON files beside them.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

struct TrainedRun {
    std::string folder;
    nlohmann::json model;            // of config.json
    double images = 0, seconds = 0;  // trained on, repetitions included; time of the updates alone
};
// Reads config.json and log.csv. Throws Error naming the file and what was expected.
TrainedRun read_trained_run(const std::string& folder);

// A JSON object from a file. Throws Error naming it.
nlohmann::json read_json_object(const std::filesystem::path& path);
// A member of an object that was read from `path`. Throw Error naming both if it is missing or of another type.
const nlohmann::json& json_member(const nlohmann::json& json, const char* key,
                                  const std::filesystem::path& path);
double json_number(const nlohmann::json& json, const char* key, const std::filesystem::path& path);
