// A search over the mask distribution as a picture: a heat map of objectives over alpha and beta.
#pragma once

#include <span>
#include <string>

#include "data/images/image_file.h"
#include "train/search/mask_search.h"

// A cell for each alpha (across) and beta (upwards) that was tried, blank where the pair was not; the lower the
// objective, the darker; the best is framed. There is at least one candidate.
Image mask_map(std::span<const MaskCandidate> candidates, const ObjectiveTerms& terms,
               const std::string& title);
