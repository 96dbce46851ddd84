#include "polariscope/tasks/in_context_regression.h"

#include "polariscope/tasks/internal/fill_sizes.h"
#include "polariscope/tasks/internal/regression_kernels.h"

namespace polariscope::tasks {

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
  draw_regression(options_, seed_, example_stream_number(split_, first), count, tokens.data(), targets.data());
}

}  // namespace polariscope::tasks
