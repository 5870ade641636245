#include "runtime/checkpoint/reordered_rows.h"

#include <algorithm>
#include <vector>

#include "runtime/base/error.h"

void load_reordered_rows(const TensorFile& file, const Parameter& parameter,
                         std::span<const std::int64_t> order, float* values, Device device) {
    load_parameter(file, parameter, "", values, device);  // with its checks
    const auto count = static_cast<std::size_t>(parameter.count);
    const auto rows = parameter.shape.front();
    for (const std::int64_t row : order)
        if (order.size() > static_cast<std::size_t>(rows) || row >= rows)
            fail("{}: tensor {} has {} rows, the classes that the file names are {}", file.path().string(),
                 parameter.name, rows, order.size());
    std::vector<float> before(count);
    file.read(parameter.name, before.data());
    std::vector<float> after = before;
    const std::size_t width = count / static_cast<std::size_t>(rows);
    for (std::size_t i = 0; i < order.size(); ++i)
        std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(order[i]) * width),
                    width, after.begin() + static_cast<std::ptrdiff_t>(i * width));
    copy_to_device(device, values + parameter.offset, after.data(), count * sizeof(float));
}
