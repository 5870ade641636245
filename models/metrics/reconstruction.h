// How close reconstructed pictures are to the originals, and how evenly a tokenizer uses its codebook. On the
// host, in double; pixels are 8-bit, 0 to 255.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

// Peak signal-to-noise ratio in dB: 10 log10(255^2 / mean squared error), infinite for equal pictures. Throws
// std::logic_error for none or for different numbers of pixels.
double peak_signal_to_noise(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);

// Sides that structural similarity needs at least: its window.
constexpr std::int64_t similarity_window = 11;

// Structural similarity of two pictures [channels, height, width], the mean over channels and over all places
// where the 11 x 11 window (Gaussian, standard deviation 1.5) lies within the picture; K1 = 0.01, K2 = 0.03,
// L = 255. 1 for equal pictures. Throws std::logic_error for sides below the window's or spans of another
// size.
// Source: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
// Similarity" (2004), equation 13.
double structural_similarity(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b,
                             std::int64_t channels, std::int64_t height, std::int64_t width);

// exp of the entropy of how often each code occurs, `counts` [K]: K where all occur equally often, 1 where
// one does. Throws std::logic_error if none does.
double codebook_perplexity(std::span<const std::int64_t> counts);

// How often each code occurs: [codebook_size]. Throws std::logic_error for codes outside of the codebook.
std::vector<std::int64_t> code_counts(std::span<const std::int32_t> codes, std::int64_t codebook_size);

// Means over pictures.
struct ReconstructionQuality {
    double l1 = 0;    // |a - b|, of pixels in [0, 1]
    double psnr = 0;  // peak signal-to-noise ratio in dB
    double ssim = 0;  // structural similarity; not a number if the pictures are smaller than its window
};
// Of pictures [n, channels, size, size] each. Throws std::logic_error for none, or another number of pixels.
ReconstructionQuality reconstruction_quality(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b,
                                             std::int64_t channels, std::int64_t size);
