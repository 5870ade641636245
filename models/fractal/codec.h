// Lossless coding of pictures with as many bits as their likelihood says: the recursion of sample.h runs over
// given pictures, and a range coder (kernels/common/range_coder.h) takes the values' probabilities; decoding
// runs the same recursion, with the values that the code gives in place of drawn ones. Unconditional.
//
// AR levels alone have a likelihood that can be coded. Probabilities are those of kernels/sampling/value_code.h.
// Pictures go through the model in batches, one in each lane; lane k holds the code of pictures k, k + lanes,
// k + 2 lanes, ... as one, so that the few bytes that a code costs by itself are shared by all of them.
//
// Both sides must compute the same probabilities, bit for bit. These depend on the weights, the device, the
// precision and the processor's instruction set, not on the number of threads or of lanes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/fractal/sample.h"

// Throws UsageError for a model that has no likelihood to code with, naming its MAR level, and for one of codes.
void require_codable(const FractalConfig& config);

class FractalCodec : private ValueSource {
  public:
    // Up to `lanes` pictures at once. The model, of which require_codable() holds, must stay. Throws Error.
    FractalCodec(const FractalModel& model, std::int64_t lanes);
    ~FractalCodec() override { tensors_ = {}; }  // of a call that an exception ended: before their tape
    FractalCodec(const FractalCodec&) = delete;
    FractalCodec& operator=(const FractalCodec&) = delete;

    // Called with the share of the pictures that is done, 0 to 1.
    using Progress = std::function<void(double share)>;
    void watch(Progress progress) { progress_ = std::move(progress); }

    // Codes of pictures [n, C, s, s], one for each lane, but for lanes without pictures where n < lanes.
    // Memory: 4 bytes for each value of the pictures.
    using Codes = std::vector<std::vector<std::uint8_t>>;
    Codes encode(std::span<const std::uint8_t> pictures);

    // The `count` pictures of such codes [min(lanes, count)], as bytes [count, C, s, s]. Codes of other pictures, weights or
    // arithmetic, or damaged ones, give other pictures: `complete` is false unless every code ends with its last
    // picture, and a checksum of each picture decides. Throws Error for one that no encoder starts so.
    struct Decoded {
        std::vector<std::uint8_t> pictures;
        bool complete;
    };
    Decoded decode(std::span<const std::span<const std::uint8_t>> codes, std::int64_t count);

    // CRC-32 of the intervals of a fixed picture: arithmetic that gives another one cannot decode.
    std::uint32_t probe();

  private:
    void begin(Tape& tape, std::int64_t images) override;
    void end(Tape& tape) override;
    Tensor values(Tape& tape, const Tensor& condition, const Tensor& packed, const PixelSamplerShape& shape,
                  const Tensor& pixels) override;

    // One batch: pictures [n, C, s, s], whose intervals [n, pixels, C] are left in intervals_, or n pictures of
    // the codes in lanes_ and bytes_.
    void encode_batch(std::span<const std::uint8_t> pictures);
    std::vector<std::uint8_t> decode_batch(std::int64_t n);
    void run_batches(std::int64_t count,
                     const std::function<void(std::int64_t first, std::int64_t n)>& batch);

    const FractalConfig& config_;
    std::int64_t lanes_at_once_, pixels_, picture_bytes_;
    std::vector<std::int64_t> order_;  // places in the raster of the pixels in the order of drawing
    bool decodes_ = false;
    std::vector<std::uint8_t> given_, bytes_;  // of the batch, as PixelCodeTensors
    std::vector<CodeInterval> intervals_;
    std::vector<CodeLane> lanes_;
    PixelCodeTensors tensors_{};
    std::int64_t done_ = 0, batch_ = 0, count_ = 0;  // pictures
    Progress progress_;
    FractalSampler sampler_;  // last: it plans with the members above
};
