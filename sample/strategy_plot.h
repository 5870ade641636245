// A generation strategy as one picture.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/images/image_file.h"
#include "models/nat/strategy.h"

// 1200 x 800 pixels: the tokens that each step fixes as columns, above the four schedules. Steps count from 1.
Image strategy_plot(const Strategy& strategy, std::span<const std::int64_t> fixed, const std::string& title);
