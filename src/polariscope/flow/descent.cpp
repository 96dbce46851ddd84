#include "polariscope/flow/descent.h"

#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/flow/internal/finite.h"
#include "polariscope/flow/internal/kernels.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

namespace polariscope::flow {
namespace {

constexpr std::int64_t kStepsBetweenInterrupts = 100'000;

}  // namespace

void validate(const DescentOptions& options) {
  if (!(options.step > 0.0) || !std::isfinite(options.step)) {
    throw Error("the step is {}: gradient descent needs a positive, finite step", options.step);
  }
  if (options.steps < 0) throw Error("the number of steps is {}: it cannot be negative", options.steps);
  const std::vector<std::int64_t>& samples = options.samples;
  if (!samples.empty() && samples.front() < 0) {
    throw Error("the first step to record is {}: it cannot be negative", samples.front());
  }
  const auto fall = std::ranges::adjacent_find(samples, std::ranges::greater_equal());
  if (fall != samples.end()) {
    throw Error("the steps to record hold {} after {}: they must rise", *std::next(fall), *fall);
  }
}

std::vector<std::int64_t> log_samples(std::int64_t steps, int count) {
  std::vector<std::int64_t> samples{0};
  for (int i = 0; i < count && steps > 0; ++i) {
    const double exponent = count > 1 ? static_cast<double>(i) / (count - 1) : 1.0;
    const auto step = static_cast<std::int64_t>(std::llround(std::pow(static_cast<double>(steps), exponent)));
    if (step > samples.back()) samples.push_back(std::min(step, steps));
  }
  return samples;
}

Trajectory descend(const Problem& problem, const State& start, const DescentOptions& options) {
  validate(problem, start);
  validate(options);
  const std::vector<std::int64_t> samples = options.samples.empty() ? log_samples(options.steps, 200) : options.samples;

  FieldArrays arrays(problem, Packing::kAlongTokens);
  arrays.set(0, problem, start, 0.0);
  Trajectory trajectory = Trajectory::starting(problem, start);
  State state = start;
  double strength = 0.0;
  std::int64_t done = 0;
  for (const std::int64_t sample : samples) {
    while (done < sample) {
      const std::int64_t count = std::min(sample - done, kStepsBetweenInterrupts);
      descend_along_tokens(arrays.views(), options.step, count);
      done += count;
      stop_if_interrupted();
    }
    arrays.get(0, state, strength);
    if (!all_finite(state)) {
      trajectory.ending = Ending::kDiverged;
      break;
    }
    observe(trajectory, state, static_cast<double>(done) * options.step, strength, options.singular_values);
    trajectory.final_state = state;
    trajectory.evaluations = done;
    if (options.progress) options.progress(done, trajectory);
  }
  return trajectory;
}

}  // namespace polariscope::flow
