#include "polariscope/tasks/in_context_regression.h"

#include "polariscope/tasks/internal/fill_sizes.h"

#include <vector>

namespace polariscope {

void validate(const InContextRegressionOptions& options) {
  if (options.features < 1) throw Error("in-context regression: {} features: at least 1 is needed", options.features);
  if (options.tokens < 2) {
    throw Error("in-context regression: {} tokens: an example and the query are 2", options.tokens);
  }
}

InContextRegression::InContextRegression(const InContextRegressionOptions& options, std::uint64_t seed, Split split)
    : options_(options), seed_(seed), split_(split) {
  validate(options);
}

void InContextRegression::fill(std::int64_t first, std::int64_t count, std::span<float> tokens,
                               std::span<float> targets) const {
  const std::int64_t size = std::int64_t{options_.tokens} * width();
  require_fill_sizes("in-context regression", first, count, tokens.size(), size, targets.size(), 1);
  std::vector<double> w(static_cast<std::size_t>(options_.features));
  for (std::int64_t i = 0; i < count; ++i) {
    RandomStream random = example_stream(seed_, split_, first + i);
    random.fill_normal(w, 1.0);
    float* to = tokens.data() + i * size;
    for (int token = 0; token < options_.tokens; ++token) {
      double y = 0.0;
      for (const double weight : w) {
        *to = static_cast<float>(random.normal());
        y += weight * *to++;
      }
      const bool query = token + 1 == options_.tokens;
      *to++ = query ? 0.0F : static_cast<float>(y);
      if (query) targets[static_cast<std::size_t>(i)] = static_cast<float>(y);
    }
  }
}

}  // namespace polariscope
