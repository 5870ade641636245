// A search for a generation strategy as one picture.
#pragma once

#include <span>
#include <string>

#include "data/images/image_file.h"
#include "models/nat/search/search_history.h"

// 1200 x 800 pixels: the objectives over the pictures drawn, of iterates and of all other points, above the four
// schedules, of the first iterate and of the last one.
Image strategy_curves(std::span<const Evaluation> history, const SearchSpace& space,
                      const std::string& title);
