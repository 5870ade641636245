// Cost of a picture's features by formula, in multiply-adds of convolutions and linear layers: norms, pools and
// activations are not counted.
#pragma once

#include "models/metrics/feature_classifier.h"
#include "models/metrics/inception.h"

// A picture of 299 x 299 pixels, after resizing.
double inception_multiply_adds();
double feature_multiply_adds(const FeatureConfig& config);
