// Where in a torch checkpoint the weights are: programs save their state under names of their own ("model",
// "state_dict", "net", "checkpoint.model"), with an average of the weights, an optimizer's state and settings
// beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/pth/pickle.h"

struct DictionaryEntry {
    std::string_view key;
    Pickle::Value value;
};

// The dictionaries of a checkpoint with the number of tensors in each.
class CheckpointDictionaries {
  public:
    // Throws Error, starting with `source`, for dictionaries that repeat each other beyond any use.
    CheckpointDictionaries(const Pickle& pickle, std::string_view source);

    // Tensors in a dictionary and in those within it, but for optimizers' states.
    std::size_t tensors(Pickle::Value dictionary) const { return tensors_[dictionary]; }
    // Entries under texts, the last of each key, sorted by key. Throws Error as the constructor.
    std::vector<DictionaryEntry> entries(Pickle::Value dictionary);

  private:
    void count(Pickle::Value root);

    const Pickle& pickle_;
    std::string source_;
    std::size_t visits_ = 0;
    std::vector<std::size_t> tensors_;  // by value
};

// Whether a key says that its entry is an average of the weights: has the word "ema", as in "model_ema".
bool is_average_key(std::string_view key);

struct WeightDictionary {
    Pickle::Value value = Pickle::nothing;
    std::string path;  // keys with dots between them; "": all of the checkpoint
};

struct WeightDictionaries {
    std::vector<Pickle::Value> around;  // the dictionaries that the weights lie in, the outermost first
    std::optional<WeightDictionary> weights, average;
};

// The weights are the entry that holds tensors and is called "model", "state_dict" or the like, else the only
// entry that holds any, looked for in there again; a dictionary with tensors of its own, more than any entry
// of it holds, is taken whole, and so are several entries of other names (parts of one model). The average is
// the entry on this way with the key of an average.
WeightDictionaries find_weights(const Pickle& pickle, CheckpointDictionaries& dictionaries,
                                std::string_view source);

constexpr int max_dictionary_depth = 16;
