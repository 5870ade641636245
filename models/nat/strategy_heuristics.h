// Generation strategies by name, from the literature. With f = (t + 1) / T of step t = 0..T-1 and s_max the
// largest guidance scale, tau the largest temperature:
//
//   name     ratio of masked tokens   sampling     re-masking   guidance     otherwise
//   cosine   cos(pi/2 f)              1            tau (1 - f)  s_max f
//   muse     cos(pi/2 f)              tau (1 - f)  tau (1 - f)  s_max t / T  the confidence is the logit
//   enat     cos(pi/2 f)              6 (1 - f)    1.5 (1 - f)  s_max t / T  counts without bounds
//   halton   acos(f) / (pi/2)         1            0            s_max        a fixed order; rounded up
//   fixed:R  R                        1            tau (1 - f)  s_max f
//
// tau is 4.5 in the literature. enat's sampling temperature is at least 1e-3. maskgit is another name of cosine: MaskGIT's schedules, with
// guidance, which it lacks.
//
// Sources: Chang et al., "MaskGIT" (CVPR 2022, arXiv 2202.04200) and "Muse" (ICML 2023, arXiv 2301.00704); Ni
// et al., "ENAT" (NeurIPS 2024, arXiv 2411.06959), as released for 256 x 256 pixels; Besnier et al., "Halton
// Scheduler for Masked Generative Image Transformer" (ICLR 2025, arXiv 2503.17076); Ni et al., "Revisiting
// Non-Autoregressive Transformers" (CVPR 2024, arXiv 2406.05478).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "models/nat/strategy.h"

// Throws UsageError for another name, unless 1 <= T <= max_decoding_steps, s_max is finite and 0 <= R < 1.
Strategy named_strategy(std::string_view name, std::int64_t steps, double largest_guidance_scale,
                        double largest_temperature = 4.5);
// Whether a strategy of this name has the temperature tau.
bool has_temperature(std::string_view name);

// Whether the word is a name, whatever stands behind "fixed:".
bool is_strategy_name(std::string_view word);
// "cosine, muse, enat, halton or fixed:RATIO".
std::string strategy_names();
