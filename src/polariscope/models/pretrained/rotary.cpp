#include "polariscope/models/pretrained/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace polariscope::models {
namespace {

std::vector<double> unscaled(double theta, std::int64_t width) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < width; i += 2) {
    frequencies.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(width)));
  }
  return frequencies;
}

// A wavelength above original/low is divided by the factor, one below original/high is kept.
double llama3_frequency(const Rotary& rotary, double frequency) {
  const auto original = static_cast<double>(rotary.original_length);
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  if (wavelength < original / rotary.high_frequency_factor) return frequency;
  if (wavelength > original / rotary.low_frequency_factor) return frequency / rotary.factor;
  const double kept = (original / wavelength - rotary.low_frequency_factor) /
                      (rotary.high_frequency_factor - rotary.low_frequency_factor);
  return (1.0 - kept) * frequency / rotary.factor + kept * frequency;
}

// The pair, as a real number, that turns `rotations` times over the original length.
double yarn_pair(const Rotary& rotary, double rotations) {
  return static_cast<double>(rotary.width) *
         std::log(static_cast<double>(rotary.original_length) / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rotary.theta));
}

void scale_yarn(const Rotary& rotary, std::vector<double>& frequencies) {
  double low = yarn_pair(rotary, rotary.beta_fast), high = yarn_pair(rotary, rotary.beta_slow);
  if (rotary.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  // transformers bounds the pair by the width, not by the number of pairs; so do we.
  high = std::min(high, static_cast<double>(rotary.width) - 1.0);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double scaled = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= scaled / rotary.factor + (1.0 - scaled);
  }
}

double yarn_mscale(double factor, double mscale) { return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0; }

double attention_factor(const Rotary& rotary) {
  if (rotary.attention_factor) return *rotary.attention_factor;
  if (rotary.scaling == RotaryScaling::kYarn) {
    if (rotary.mscale != 0.0 && rotary.mscale_all_dim != 0.0) {
      return yarn_mscale(rotary.factor, rotary.mscale) / yarn_mscale(rotary.factor, rotary.mscale_all_dim);
    }
    return yarn_mscale(rotary.factor, 1.0);
  }
  if (rotary.scaling == RotaryScaling::kLongRope && rotary.factor > 1.0) {
    return std::sqrt(1.0 + std::log(rotary.factor) / std::log(static_cast<double>(rotary.original_length)));
  }
  return 1.0;
}

// Bloc97's NTK-aware scaling: no change up to maximum_length.
double dynamic_theta(const Rotary& rotary, std::int64_t length) {
  const auto width = static_cast<double>(rotary.width), maximum = static_cast<double>(rotary.maximum_length);
  const double longer = std::max(static_cast<double>(length), maximum) / maximum;
  return rotary.theta * std::pow(rotary.factor * longer - (rotary.factor - 1.0), width / (width - 2.0));
}

}  // namespace

RotaryTable rotary_table(const Rotary& rotary, std::int64_t length) {
  const bool dynamic = rotary.scaling == RotaryScaling::kDynamic;
  RotaryTable table{.frequencies = unscaled(dynamic ? dynamic_theta(rotary, length) : rotary.theta, rotary.width),
                    .factor = attention_factor(rotary)};
  const auto divide = [&table](const std::vector<double>& by) {
    for (std::size_t i = 0; i < table.frequencies.size(); ++i) table.frequencies[i] /= by[i];
  };
  switch (rotary.scaling) {
    case RotaryScaling::kNone:
    case RotaryScaling::kDynamic: break;
    case RotaryScaling::kLinear:
      for (double& frequency : table.frequencies) frequency /= rotary.factor;
      break;
    case RotaryScaling::kLlama3:
      for (double& frequency : table.frequencies) frequency = llama3_frequency(rotary, frequency);
      break;
    case RotaryScaling::kYarn: scale_yarn(rotary, table.frequencies); break;
    case RotaryScaling::kLongRope:
      divide(length > rotary.original_length ? rotary.long_factor : rotary.short_factor);
      break;
    case RotaryScaling::kDivisors: divide(rotary.divisors); break;
  }
  return table;
}

}  // namespace polariscope::models
