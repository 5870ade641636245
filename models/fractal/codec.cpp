#include "models/fractal/codec.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "kernels/common/philox.h"
#include "models/fractal/edit.h"
#include "runtime/base/error.h"
#include "runtime/ops/ops.h"

namespace {

std::vector<std::int64_t> drawing_order(const FractalConfig& config) {
    const std::int64_t size = config.image_size();
    std::vector<std::int64_t> order;
    for (std::int64_t pixel = 0; pixel < size * size; ++pixel) {
        PatchOrigin origin{0, 0};
        std::int64_t rest = pixel;
        for (std::size_t level = 0; level < config.generators(); ++level) {
            const std::int64_t below = config.patch_size(level) * config.patch_size(level);
            origin = patch_origin(config, level, origin, rest / below);
            rest %= below;
        }
        order.push_back(origin.row * size + origin.column);
    }
    return order;
}

}  // namespace

void require_codable(const FractalConfig& config) {
    if (config.of_codes())
        fail_usage("the model draws codes of a vocabulary of {}: expected a model of pixels",
                   config.vocabulary);
    for (std::size_t level = 0; level < config.generators(); ++level)
        if (config.is_mar(level))
            fail_usage(
                "level {} of the model is a MAR level, which has no likelihood to code with: expected a "
                "model of AR levels",
                level);
}

FractalCodec::FractalCodec(const FractalModel& model, std::int64_t lanes)
    : config_(model.config()),
      lanes_at_once_(lanes),
      pixels_(config_.image_size() * config_.image_size()),
      picture_bytes_(pixels_ * config_.channels),
      order_(drawing_order(config_)),
      sampler_(model, lanes, false, {}, {}, this) {
    sampler_.watch([this](std::int64_t done, std::int64_t steps) {
        const double share = static_cast<double>(done) / static_cast<double>(steps);
        if (progress_ && count_ > 0)
            progress_((static_cast<double>(done_) + share * static_cast<double>(batch_)) /
                      static_cast<double>(count_));
    });
}

void FractalCodec::begin(Tape& tape, std::int64_t images) {
    tensors_ = {pixels_,
                decodes_,
                tape.create(images, picture_bytes_, false, Element::u8),
                tape.create(images, picture_bytes_, false, Element::i32),
                tape.create(images, 1, false, Element::i64),
                tape.create(images, most_code_bytes * picture_bytes_, false, Element::u8)};
    if (tape.planning()) return;
    if (decodes_) {
        copy_to_tensor(tape, tensors_.lanes, lanes_.data(), lanes_.size() * sizeof(CodeLane));
        copy_to_tensor(tape, tensors_.bytes, bytes_.data(), bytes_.size());
    } else {
        copy_to_tensor(tape, tensors_.given, given_.data(), given_.size());
    }
}

Tensor FractalCodec::values(Tape& tape, const Tensor& condition, const Tensor& packed,
                            const PixelSamplerShape& shape, const Tensor& pixels) {
    return code_pixels(tape, condition, packed, shape, pixels, tensors_);
}

void FractalCodec::end(Tape& tape) {
    const PixelCodeTensors tensors = std::exchange(tensors_, {});
    if (tape.planning()) return;
    if (decodes_)
        copy_from_tensor(tape, lanes_.data(), tensors.lanes, lanes_.size() * sizeof(CodeLane));
    else
        copy_from_tensor(tape, intervals_.data(), tensors.intervals,
                         intervals_.size() * sizeof(CodeInterval));
}

void FractalCodec::encode_batch(std::span<const std::uint8_t> pictures) {
    const std::int64_t C = config_.channels;
    given_.resize(pictures.size());
    intervals_.resize(pictures.size());
    auto next = given_.begin();
    for (std::size_t picture = 0; picture < pictures.size();
         picture += static_cast<std::size_t>(picture_bytes_))
        for (const std::int64_t place : order_)
            for (std::int64_t c = 0; c < C; ++c)
                *next++ = pictures[picture + static_cast<std::size_t>(c * pixels_ + place)];
    decodes_ = false;
    sampler_.sample(std::vector<std::int64_t>(pictures.size() / static_cast<std::size_t>(picture_bytes_), -1),
                    {});
}

std::vector<std::uint8_t> FractalCodec::decode_batch(std::int64_t n) {
    decodes_ = true;
    return sampler_.sample(std::vector<std::int64_t>(static_cast<std::size_t>(n), -1), {});
}

void FractalCodec::run_batches(std::int64_t count,
                               const std::function<void(std::int64_t first, std::int64_t n)>& batch) {
    count_ = count;
    for (done_ = 0; done_ < count; done_ += batch_) {
        batch_ = std::min(lanes_at_once_, count - done_);
        batch(done_, batch_);
    }
    count_ = 0;
}

FractalCodec::Codes FractalCodec::encode(std::span<const std::uint8_t> pictures) {
    const auto bytes = static_cast<std::size_t>(picture_bytes_),
               lanes = static_cast<std::size_t>(lanes_at_once_), count = pictures.size() / bytes;
    std::vector<CodeInterval> all;
    all.reserve(pictures.size());
    run_batches(static_cast<std::int64_t>(count), [&](std::int64_t first, std::int64_t n) {
        encode_batch(
            pictures.subspan(static_cast<std::size_t>(first) * bytes, static_cast<std::size_t>(n) * bytes));
        all.insert(all.end(), intervals_.begin(), intervals_.end());
    });
    Codes codes;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        RangeEncoder encoder;
        const std::size_t of_lane = (count + lanes - 1 - lane) / lanes;
        if (of_lane == 0) break;
        for (std::size_t i = of_lane; i-- > 0;)
            for (std::size_t value = bytes; value-- > 0;)
                encoder.add(all[(i * lanes + lane) * bytes + value]);
        codes.push_back(encoder.finish());
    }
    return codes;
}

FractalCodec::Decoded FractalCodec::decode(std::span<const std::span<const std::uint8_t>> codes,
                                           std::int64_t count) {
    const auto window = static_cast<std::size_t>(most_code_bytes * picture_bytes_);
    std::vector<CodeLane> lanes;
    std::vector<std::size_t> taken;  // bytes of each code
    for (const std::span<const std::uint8_t> code : codes) {
        const bool starts = code.size() >= static_cast<std::size_t>(code_state_bytes);
        if (starts) lanes.push_back(first_code_lane(code.data()));
        if (!starts || lanes.back().state < least_code_state)
            fail("the code of lane {} does not start with a state", taken.size());
        taken.push_back(code_state_bytes);
    }
    Decoded decoded;
    run_batches(count, [&](std::int64_t, std::int64_t n) {
        const auto in_use = static_cast<std::size_t>(n);
        lanes_.assign(lanes.begin(), lanes.begin() + n);
        bytes_.assign(in_use * window, 0);
        for (std::size_t lane = 0; lane < in_use; ++lane) {
            lanes_[lane].used = 0;
            const std::size_t begin = std::min(taken[lane], codes[lane].size()),
                              there = std::min(window, codes[lane].size() - begin);
            std::copy_n(codes[lane].begin() + static_cast<std::ptrdiff_t>(begin), there,
                        bytes_.begin() + static_cast<std::ptrdiff_t>(lane * window));
        }
        const std::vector<std::uint8_t> pictures = decode_batch(n);
        decoded.pictures.insert(decoded.pictures.end(), pictures.begin(), pictures.end());
        for (std::size_t lane = 0; lane < in_use; ++lane) {
            lanes[lane] = lanes_[lane];
            taken[lane] += lanes_[lane].used;
        }
    });
    decoded.complete = true;
    for (std::size_t lane = 0; lane < codes.size(); ++lane)
        decoded.complete &= lanes[lane].state == least_code_state && taken[lane] == codes[lane].size();
    return decoded;
}

std::uint32_t FractalCodec::probe() {
    std::vector<std::uint8_t> picture(static_cast<std::size_t>(picture_bytes_));
    for (std::size_t i = 0; i < picture.size(); ++i)
        picture[i] = static_cast<std::uint8_t>(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, {})[0]);
    encode_batch(picture);
    return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(intervals_.data()),
                                              intervals_.size() * sizeof(CodeInterval)));
}
