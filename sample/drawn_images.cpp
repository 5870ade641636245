#include "sample/drawn_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/sheet.h"

std::int64_t sheet_columns(std::size_t distinct_classes, std::size_t images) {
    return distinct_classes > 1 ? static_cast<std::int64_t>(std::min(distinct_classes, images))
                                : std::llround(std::ceil(std::sqrt(static_cast<double>(images))));
}

void write_drawn_images(const std::string& out, const std::string& each, std::span<const std::uint8_t> images,
                        std::span<const std::int64_t> classes, std::int64_t channels, std::int64_t size,
                        std::int64_t columns) {
    const auto C = static_cast<int>(channels), side = static_cast<int>(size);
    if (!each.empty()) {
        std::vector<std::string> suffixes;
        for (const std::int64_t label : classes)
            suffixes.push_back(label < 0 ? "" : fmt::format("-class-{}", label));
        write_images(each, images, C, side, suffixes);
    }
    if (!out.empty()) write_png(out, image_sheet(images, C, side, static_cast<int>(columns)));
}
