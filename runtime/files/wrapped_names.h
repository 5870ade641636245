// Names of tensors without what wrappers of modules put before all of them: "module." (DataParallel, averaged
// models), "_orig_mod." (torch.compile), "model." and "net." (trainers' classes around a model), and so on.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

struct UnwrappedNames {
    std::map<std::string, std::string> names;  // by the name in the file; without what is no parameter
    // What was removed from all names of the weights (""), and of their average (average_prefix).
    std::map<std::string, std::string, std::less<>> removed;
};

// A prefix is removed if all weights have it, or all averages: names that differ in it stay as they are.
// Averages are the names under "ema." or, where there are none, under "model_ema." (which becomes "ema.") if
// they are those of weights in the file.
UnwrappedNames unwrap_names(const std::vector<std::string>& names);
