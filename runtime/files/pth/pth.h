// Torch checkpoints (`.pth`, `.pt`) as written by torch.save, read without executing the pickle.
//
// The tensors are those of the dictionary that holds the weights (weight_dictionary.h); tensors of
// dictionaries in it are named with dots between the keys. An average of the weights beside it ("model_ema")
// is found under the prefix that checkpoints of this project have for it: "ema.". Whatever else lies in the
// file, an optimizer's state above all, is skipped unread. Numbers and texts beside the weights (`epoch`, and
// `args` as "args.NAME") are metadata.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/pth/pth_container.h"
#include "runtime/files/pth/pth_tensor.h"
#include "runtime/files/pth/weight_dictionary.h"
#include "runtime/files/tensor_file.h"

class PthFile : public TensorFile {
  public:
    // Reads the pickle, no tensor's bytes. Throws Error naming the file and what is wrong: every tensor of
    // the weights must lie within a storage that the file has.
    explicit PthFile(std::filesystem::path path);

    const std::map<std::string, PthTensor, std::less<>>& entries() const { return entries_; }
    // Throws Error if there is no such tensor.
    const PthTensor& entry(std::string_view name) const;

    std::vector<std::string> names() const override;
    bool contains(std::string_view name) const override { return entries_.contains(name); }
    const std::vector<std::int64_t>& shape(std::string_view name) const override { return entry(name).shape; }
    // Touches the bytes of this tensor's storage only; takes memory beside the destination only if the tensor
    // is not contiguous.
    void read(std::string_view name, float* destination) const override;

  private:
    void add_dictionary(const Pickle& pickle, CheckpointDictionaries& dictionaries, Pickle::Value dictionary,
                        const std::string& prefix, int depth);
    void unwrap(const WeightDictionaries& found);
    void add_metadata(const Pickle& pickle, Pickle::Value dictionary);
    void add_scalars(const Pickle& pickle, Pickle::Value dictionary, const std::string& prefix);
    void read_contiguous(const PthTensor& tensor, float* destination) const;
    void read_strided(const PthTensor& tensor, std::string_view name, float* destination) const;

    std::map<std::string, PthTensor, std::less<>> entries_;
    std::unique_ptr<StorageSource> storages_;
};
