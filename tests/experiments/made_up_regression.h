// Trainings of in-context regression that are made up: what becomes of a run, as the log and the files that it leaves.
#pragma once

#include "made_up_runs.h"
#include "polariscope/base/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace polariscope::testing {

constexpr int kTokens = 16, kLayers = 2;  // not the defaults: they are read from the runs

// Entropy falls as e^(-step/10) in layer 1, half as fast in layer 2, or stays at `kept`; before `ends` steps are over
// gradients stay at 1, unless they follow ‖P‖_F.
struct Course {
  bool collapses = false;
  double kept = 0.8;                   // of log N
  int ends = 0;                        // the last finite step; 0: runs to the end
  double loss = 1.0, loss_fall = 0.0;  // a step
  double entropy_factor = 1.0;         // on what entropy is otherwise
  double variance_rate = 0.0;          // Var = e^(rate·step) in layer 1, and `later` times as fast in layer 2
  double later = 2.0;
  double variance_power = 0.0;    // or a power of the step
  double exponent = -1.0;         // of rows: H̃ = Var^exponent
  double skewness = 4.0;          // the most that it comes to
  bool one_hot = false;           // its maps
  double gradient_follows = 0.0;  // log₁₀ of the gradient is so many times ‖P‖_F ...
  int gradient_delay = 0;         // ... of so many steps before
};

inline double share_of(const Course& course, double step, int layer) {
  // Without a collapse entropy still moves a little.
  const double share = course.collapses ? std::exp(-step / (10.0 * layer)) : course.kept - 1e-4 * step;
  return course.entropy_factor * share;
}
inline double entropy_of(const Course& course, double step, int layer) {
  return share_of(course, step, layer) * std::log(kTokens);
}
inline double norm_of(const Course& course, double step, int layer) {
  return std::sqrt(kTokens * std::exp(-entropy_of(course, step, layer)));
}
inline double variance_of(const Course& course, double step, int layer) {
  if (course.variance_power != 0.0) return std::pow(step, course.variance_power);
  return std::exp(course.variance_rate * step * (layer == 1 ? 1.0 : course.later));
}

inline json line_of(int step, const Course& course) {
  json entropy = json::array(), deviation = json::array(), variance = json::array(), norm = json::array(),
       skewness = json::array();
  double mean_norm = 0.0;
  for (int layer = 1; layer <= kLayers; ++layer) {
    entropy.push_back({entropy_of(course, step, layer)});
    deviation.push_back({0.1});
    variance.push_back({variance_of(course, step, layer)});
    norm.push_back({norm_of(course, step, layer)});
    skewness.push_back({course.skewness * (1.0 - share_of(course, step, layer))});
    mean_norm += norm_of(course, std::max(1, step - course.gradient_delay), layer) / kLayers;
  }
  const bool over = course.ends > 0 && step > course.ends;
  const bool last = course.ends > 0 && step == course.ends;
  return {{"step", step},
          {"loss", over ? json() : json(last ? 1e9 : course.loss - course.loss_fall * step)},
          {"gradient_norm", over ? json() : json(last ? 1e9 : std::pow(10.0, course.gradient_follows * mean_norm))},
          {"entropy", entropy},
          {"entropy_deviation", deviation},
          {"logit_variance", variance},
          {"frobenius_norm", norm},
          {"skewness", skewness}};
}

// Ten steps of rows whose variances lie between e^-2 and e^4.
inline std::string rows_of(const Course& course) {
  std::vector<double> step, variance, entropy;
  for (int n = 0; n < 10; ++n) {
    step.push_back(1.0 + 10.0 * n);
    for (int row = 0; row < kTokens; ++row) {
      variance.push_back(std::exp(-2.0 + 6.0 * (n * kTokens + row) / (10.0 * kTokens)));
      const double ratio = std::pow(variance.back(), course.exponent);
      entropy.push_back(std::log(kTokens) * ratio / (1.0 + ratio));
    }
  }
  return npy_records(10, {{"step", 1, step},
                          {"entropy_layer1", kTokens, entropy},
                          {"logit_variance_layer1", kTokens, variance},
                          {"entropy_layer2", kTokens, entropy},
                          {"logit_variance_layer2", kTokens, variance}});
}

inline std::vector<double> map_of(bool one_hot) {
  std::vector<double> map(std::size_t{kTokens} * kTokens, one_hot ? 0.0 : 1.0 / kTokens);
  for (int row = 0; one_hot && row < kTokens; ++row) map[static_cast<std::size_t>(row) * kTokens + 3] = 1.0;
  return map;
}

inline std::string maps_of(const Course& course) {
  const std::vector<double> step{1.0, 20.0, 40.0};
  std::vector<double> maps = map_of(false);
  for (int n = 0; n < 2; ++n) {
    const std::vector<double> later = map_of(course.one_hot);
    maps.insert(maps.end(), later.begin(), later.end());
  }
  return npy_records(3, {{"step", 1, step}, {"layer1", std::size_t{kTokens} * kTokens, maps}});
}

inline MadeUp made_up(const Course& course) {
  const int steps = course.ends > 0 ? course.ends + 1 : 100;
  std::string log;
  for (int step = 1; step <= steps; ++step) log += line_of(step, course).dump() + "\n";
  std::string alarms;
  for (int layer = 1; course.collapses && layer <= kLayers; ++layer) {
    alarms += fmt::format("{{\"step\":{},\"kind\":\"collapse\",\"layer\":{}}}\n", 30 * layer + 5, layer);
  }
  const std::vector<double> skewed = map_of(course.one_hot);
  return {
      .metrics = {{"steps", steps},
                  {"diverged", course.ends > 0},
                  {"last_finite_step", course.ends > 0 ? course.ends : steps}},
      .files = {{"metrics.jsonl", log},
                {"alarms.jsonl", alarms},
                {"rows.npy", rows_of(course)},
                {"maps.npy", maps_of(course)},
                {"most_skewed.npy", npy_records(kTokens, {{"layer1", kTokens, skewed}, {"layer2", kTokens, skewed}})}}};
}

}  // namespace polariscope::testing
