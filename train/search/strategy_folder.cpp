#include "train/search/strategy_folder.h"

#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/report.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/text_file.h"
#include "train/search/strategy_curves.h"

namespace {

constexpr const char *state_name = "search.json", *history_name = "history.csv", *best_name = "best.json",
                     *start_name = "start.json", *curves_name = "curves.png";

void write_text(const std::filesystem::path& path, const std::string& text) {
    AtomicFile file(path);
    file.write(text + "\n");
    file.commit();
}

// Throws UsageError naming the first setting that differs.
void require_same_settings(const nlohmann::json& before, const nlohmann::json& now,
                           const std::string& source) {
    for (const auto& [key, value] : now.items())
        if (!before.contains(key) || before[key] != value)
            fail_usage("{}: began with {} {}, now it is {}: keep it, or give another --out", source, key,
                       before.contains(key) ? shown(before[key]) : "missing", shown(value));
}

}  // namespace

StrategyFolder::StrategyFolder(std::filesystem::path path, bool writes)
    : path_(std::move(path)), writes_(writes) {
    make_folder(path_);
    if (writes_) lock_ = std::make_unique<RunLock>(path_);
}

bool StrategyFolder::open(SearchMethod& method, const std::string& settings, const Strategy& start,
                          std::int64_t& drawn) {
    settings_ = settings;
    start_ = start;
    const std::string source = at(state_name).string();
    if (!std::filesystem::exists(at(state_name))) {
        if (!writes_) return false;
        history_ = std::make_unique<SearchHistory>(at(history_name), method.space());
        write_text(at(start_name), to_json(start));
        save(method, drawn);
        return false;
    }
    const nlohmann::json json = parse_json_object(
        read_text_file(at(state_name)), source,
        {"settings", "method", "drawn", "history_rows", "history_bytes", "history_checksum"});
    const auto read = [&](const char* key, auto& value) { read_key(json, key, value, true, source); };
    require_same_settings(json.value("settings", nlohmann::json()), parse_json(settings, "settings"), source);
    std::string state;
    HistoryMark mark;
    read("method", state);
    read("drawn", drawn);
    read("history_rows", mark.rows);
    read("history_bytes", mark.bytes);
    read("history_checksum", mark.checksum);
    method.restore(state, source);
    if (writes_) history_ = std::make_unique<SearchHistory>(at(history_name), method.space(), mark);
    return true;
}

void StrategyFolder::append(const Evaluation& evaluation) {
    if (writes_) history_->append(evaluation);
}

void StrategyFolder::save(const SearchMethod& method, std::int64_t drawn) {
    if (!writes_) return;
    const HistoryMark mark = history_->mark();
    if (best()) {
        Strategy strategy = start_;
        method.space().assign(best()->x, strategy);
        write_text(at(best_name), to_json(strategy));
    }
    write_text(at(state_name), json_text(nlohmann::ordered_json{{"settings", parse_ordered_json(settings_)},
                                                                {"method", method.state()},
                                                                {"drawn", drawn},
                                                                {"history_rows", mark.rows},
                                                                {"history_bytes", mark.bytes},
                                                                {"history_checksum", mark.checksum}},
                                         1));
}

const std::optional<Evaluation>& StrategyFolder::best() const {
    static const std::optional<Evaluation> none;
    return history_ ? history_->best_iterate() : none;
}

std::vector<Evaluation> StrategyFolder::iterates() const {
    if (!writes_) return {};
    std::vector<Evaluation> all =
        parse_search_history(read_text_file(at(history_name)), at(history_name).string());
    std::erase_if(all, [](const Evaluation& each) { return !each.is_iterate() || each.update == 0; });
    return all;
}

void StrategyFolder::choose(const Strategy& strategy) const {
    if (writes_) write_text(at(best_name), to_json(strategy));
}

void StrategyFolder::draw_curves(const SearchMethod& method) const {
    if (!writes_) return;
    try {
        const std::string source = at(history_name).string();
        write_png(at(curves_name),
                  strategy_curves(parse_search_history(read_text_file(at(history_name)), source),
                                  method.space(), path_.filename().string()));
    } catch (const std::exception& error) {
        report_line("train", fmt::format("{}; the search goes on", error.what()));
    }
}
