#include "data/fractals/fractal_colour.h"

#include <algorithm>

// The displayed value of a channel (shift 16, 8, 0 for red, green, blue) between two stops, in [0, 1].
static float channel(const Stops& stops, float position, int shift) {
    const int stop = std::min(static_cast<int>(position), static_cast<int>(stops.size()) - 2);
    const float along = position - static_cast<float>(stop);
    const auto value = [&](int i) {
        return static_cast<float>(stops[static_cast<std::size_t>(i)] >> shift & 0xFFu) / 255.0f;
    };
    return value(stop) * (1.0f - along) + value(stop + 1) * along;
}

Gradient::Gradient(const Stops& a, const Stops& b, float weight) {
    for (int i = 0; i < entries; ++i) {
        const float position = static_cast<float>(i) * (static_cast<float>(a.size() - 1) / (entries - 1));
        const auto light = [&](int shift) {
            const float shown =
                (1.0f - weight) * channel(a, position, shift) + weight * channel(b, position, shift);
            return shown * shown;
        };
        table_[static_cast<std::size_t>(i)] = {light(16), light(8), light(0)};
    }
}
