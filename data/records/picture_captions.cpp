#include "data/records/picture_captions.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include "data/text/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t maximum_file_bytes = std::uintmax_t{1} << 30;
constexpr std::size_t no_place = std::numeric_limits<std::size_t>::max();

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view spaces = " \t\r\n\v\f";
    const std::size_t first = text.find_first_not_of(spaces);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

std::string repaired(std::string_view text) {
    return encode_utf8(decode_utf8(text));
}

void append(std::vector<std::string>& captions, std::string_view caption) {
    if (const std::string_view text = trimmed(caption); !text.empty()) captions.push_back(repaired(text));
}

// Calls use(number from 1, line) for each line.
template <class Use>
void for_each_line(std::string_view text, Use use) {
    for (std::int64_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        use(number, text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

bool is_text_file(const fs::path& path) {
    std::string extension = path.extension().string();
    std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
    return extension == ".txt";
}

// The list that an object of the file holds under a name.
const nlohmann::json& list_of(const nlohmann::json& json, const char* name, const std::string& file) {
    if (!json.contains(name) || !json.at(name).is_array())
        fail("{}: no list \"{}\", expected MS-COCO's: an object with \"images\" and \"annotations\"", file,
             name);
    return json.at(name);
}

// A value of item i of such a list.
template <class T>
T value_of(const nlohmann::json& list, const char* name, std::size_t i, const char* key,
           const std::string& file) {
    const nlohmann::json& item = list.at(i);
    if (!item.is_object() || !item.contains(key) || !holds_a<T>(item.at(key)))
        fail("{}: {}[{}] has no {} \"{}\"", file, name, i, std::is_same_v<T, std::string> ? "text" : "number",
             key);
    return item.at(key).get<T>();
}

}  // namespace

PictureCaptions::PictureCaptions(fs::path folder, const fs::path& file)
    : folder_(std::move(folder)), file_(file) {
    if (file_.empty()) return;
    const std::string text = read_text_file(file_, maximum_file_bytes);
    files_.push_back(file_);
    if (trimmed(text).starts_with('{'))
        read_coco(text);
    else
        read_lines(text);
}

void PictureCaptions::read_lines(std::string_view text) {
    for_each_line(text, [&](std::int64_t number, std::string_view line) {
        if (trimmed(line).empty()) return;
        const std::size_t tab = line.find('\t');
        if (tab == std::string_view::npos || tab == 0)
            fail("{}: line {} is not a picture's path, a tab and a caption; MS-COCO's JSON starts with {{",
                 file_.string(), number);
        append(entry(fs::path(line.substr(0, tab)).lexically_normal().generic_string()).captions,
               line.substr(tab + 1));
    });
}

void PictureCaptions::read_coco(const std::string& text) {
    const std::string name = file_.string();
    const nlohmann::json json = parse_data_or_discard(repaired(text));
    if (json.is_discarded()) fail("{}: not JSON", name);
    const nlohmann::json &images = list_of(json, "images", name),
                         &annotations = list_of(json, "annotations", name);
    std::map<std::int64_t, std::string> pictures;  // by id
    for (std::size_t i = 0; i < images.size(); ++i) {
        const auto id = value_of<std::int64_t>(images, "images", i, "id", name);
        const fs::path path = value_of<std::string>(images, "images", i, "file_name", name);
        if (!pictures.try_emplace(id, path.lexically_normal().generic_string()).second)
            fail("{}: images[{}] has the id {} of another one", name, i, id);
    }
    std::size_t place = 0;
    for (const auto& [id, picture] : pictures) entry(picture).place = place++;
    for (std::size_t i = 0; i < annotations.size(); ++i) {
        const auto id = value_of<std::int64_t>(annotations, "annotations", i, "image_id", name);
        const auto caption = value_of<std::string>(annotations, "annotations", i, "caption", name);
        const auto picture = pictures.find(id);
        if (picture == pictures.end())
            fail("{}: annotations[{}] is of image {}, which is none of its images", name, i, id);
        append(entry(picture->second).captions, caption);
    }
}

bool PictureCaptions::read_if_captions(const fs::path& path) {
    std::error_code unreachable;
    if (!file_.empty()) return fs::equivalent(path, file_, unreachable);
    if (!is_text_file(path) || !fs::is_regular_file(path, unreachable)) return false;
    for_each_line(read_text_file(path),
                  [&](std::int64_t, std::string_view line) { append(entry(key(path)).captions, line); });
    files_.push_back(path);
    return true;
}

std::string PictureCaptions::key(const fs::path& picture) const {
    fs::path path = picture.lexically_relative(folder_);
    if (file_.empty()) path.replace_extension();
    return path.generic_string();
}

PictureCaptions::Entry& PictureCaptions::entry(const std::string& key) {
    return entries_.try_emplace(key, Entry{{}, no_place}).first->second;
}

const std::vector<std::string>& PictureCaptions::of(const fs::path& picture) {
    static const std::vector<std::string> none;
    const auto found = entries_.find(key(picture));
    if (found == entries_.end()) return none;
    found->second.used = true;
    return found->second.captions;
}

std::size_t PictureCaptions::place(const fs::path& picture) const {
    const auto found = entries_.find(key(picture));
    return found == entries_.end() ? no_place : found->second.place;
}

std::vector<std::string> PictureCaptions::unused() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_)
        if (!entry.used && !entry.captions.empty()) names.push_back(file_.empty() ? name + ".txt" : name);
    return names;
}

std::string PictureCaptions::source() const {
    return file_.empty() ? "NAME.txt beside it" : file_.string();
}
