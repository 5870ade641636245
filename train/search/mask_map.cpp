#include "train/search/mask_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <vector>

#include "data/charts/drawing.h"
#include "runtime/base/number_text.h"

namespace {

constexpr Rgb colour{0, 114, 178}, blank{238, 238, 238}, text_colour{40, 40, 40}, best_colour{213, 94, 0};
constexpr double cell_width = 120, cell_height = 60, left = 90, top = 60, bottom = 60, margin = 20,
                 title_size = 1.75;

}  // namespace

Image mask_map(std::span<const MaskCandidate> candidates, const ObjectiveTerms& terms,
               const std::string& title) {
    std::set<double> alphas, betas;
    double lowest = INFINITY, highest = -INFINITY;
    for (const MaskCandidate& candidate : candidates) {
        alphas.insert(candidate.mask.alpha);
        betas.insert(candidate.mask.beta);
        const double value = mean_error(candidate.figures, terms).mean;
        lowest = std::min(lowest, value);
        highest = std::max(highest, value);
    }
    const double width = cell_width * static_cast<double>(alphas.size()),
                 height = cell_height * static_cast<double>(betas.size());
    Drawing drawing(
        static_cast<int>(std::max(left + width, margin + title_size * text_width(title)) + margin),
        static_cast<int>(top + height + bottom));
    drawing.write({margin, 30}, title, title_size, text_colour);
    drawing.fill({left, top}, {left + width, top + height}, blank);
    const auto corner = [&](const MaskRule& mask) {
        const auto column = std::distance(alphas.begin(), alphas.find(mask.alpha)),
                   row = std::distance(betas.begin(), betas.find(mask.beta));
        return Position{left + cell_width * static_cast<double>(column),
                        top + height - cell_height * static_cast<double>(row + 1)};
    };
    for (const MaskCandidate& candidate : candidates) {
        const MeanError value = mean_error(candidate.figures, terms);
        const double share = highest > lowest ? (highest - value.mean) / (highest - lowest) : 1;
        const Position at = corner(candidate.mask), end{at.x + cell_width, at.y + cell_height};
        if (value.mean == lowest) drawing.fill(at, end, best_colour);
        drawing.fill({at.x + 3, at.y + 3}, {end.x - 3, end.y - 3}, tint(colour, 0.1 + 0.6 * share));
        const double middle = at.x + cell_width / 2;
        drawing.write({middle, at.y + 28}, fmt::format("{:.4g}", value.mean), 1.75, text_colour,
                      Alignment::centre);
        drawing.write({middle, at.y + 47}, fmt::format("+- {:.2g}", value.error), 1.25, text_colour,
                      Alignment::centre);
    }
    for (const double alpha : alphas)
        drawing.write({corner({alpha, *betas.begin()}).x + cell_width / 2, top + height + 20},
                      number_text(alpha), 1.5, text_colour, Alignment::centre);
    for (const double beta : betas)
        drawing.write({left - 10, corner({*alphas.begin(), beta}).y + cell_height / 2 + 5}, number_text(beta),
                      1.5, text_colour, Alignment::right);
    drawing.write({left + width / 2, top + height + 45}, "alpha", 1.5, text_colour, Alignment::centre);
    drawing.write({margin, top + height / 2 + 5}, "beta", 1.5, text_colour);
    return drawing.image();
}
