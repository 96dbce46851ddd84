// Rotary positions as data, and the frequencies that come of it (Su et al. 2021, and the scalings since).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace polariscope::models {

// How frequencies are changed for texts longer than the model was first trained on.
enum class RotaryScaling {
  kNone,
  kLinear,    // f / factor
  kDynamic,   // theta grows with the text beyond maximum_length (NTK)
  kLlama3,    // long wavelengths are divided by factor, short ones kept, those between blended
  kYarn,      // Peng et al. 2023: the ramp between beta_fast and beta_slow rotations over original_length
  kLongRope,  // Ding et al. 2024: a divisor for each frequency, another list beyond original_length
  kDivisors,  // `divisors`, one for each frequency, at every length (GGUF's rope_freqs.weight)
};

// Positions 0, 1, ... of one kind. The first `width` components of a head's query and key are rotated, in pairs
// (2i, 2i + 1) if `neighbours`, else (i, i + width/2), pair i by the angle position * frequency i.
struct Rotary {
  double theta = 10000.0;  // base: without scaling frequency i is theta^(-2i/width)
  std::int64_t width = 0;  // even
  bool neighbours = false;
  RotaryScaling scaling = RotaryScaling::kNone;
  double factor = 1.0;
  double low_frequency_factor = 1.0, high_frequency_factor = 4.0;  // kLlama3
  double beta_fast = 32.0, beta_slow = 1.0;                        // kYarn
  bool truncate = true;                                            // kYarn: the ramp's ends are whole numbers
  std::int64_t original_length = 0;                                // kLlama3, kYarn, kLongRope
  std::int64_t maximum_length = 0;                                 // kDynamic
  std::optional<double> attention_factor = {};              // on cos and sin; without it what the scaling's paper says
  double mscale = 0.0, mscale_all_dim = 0.0;                // kYarn, DeepSeek's form of attention_factor; 0: not given
  std::vector<double> short_factor = {}, long_factor = {};  // kLongRope, [width / 2]
  std::vector<double> divisors = {};                        // kDivisors, [width / 2]

  bool operator==(const Rotary&) const = default;
};

// cos and sin of position * frequencies[i] are both multiplied by `factor`.
struct RotaryTable {
  std::vector<double> frequencies = {};  // [width / 2], in radians per position
  double factor = 1.0;
};

// For a text of `length` tokens: kDynamic and kLongRope depend on it.
RotaryTable rotary_table(const Rotary& rotary, std::int64_t length);

}  // namespace polariscope::models
