// Trainings of language models that are made up: what becomes of a run, as the logs that it leaves.
#pragma once

#include "made_up_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace polariscope::testing {

constexpr int kContext = 64, kLanguageLayers = 3;

// The paper's four attentions in both shapes, at two learning rates and two seeds.
inline std::string language_grid(const std::string& models = "\"llama-3m\", \"gpt2-15m\"") {
  return fmt::format(
      "task = \"language-model\"\ndata = \"example\"\nmodel = [{}]\ncontext = {}\nbatch = 4\nsteps = 40\n"
      "learning_rate = [1e-3, 1e-2]\nvalidation_every = 20\nattention = [\"softmax\", "
      "\"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = [\"no\", \"layer\"]\nseed = [0, 1]\n"
      "[[skip]]\nattention = [\"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = \"layer\"\n",
      models, kContext);
}

// Every layer's mean entropy goes from `start` to `end` of uniform rows', the middle layer's to `middle`, if that is
// less; ‖P‖_F of all layers goes to `norm`.
struct LanguageCourse {
  double start = 0.95, end = 0.9, middle = 1.0;
  double norm = 2.5;
  double loss = 3.0;      // of validation, at the end
  double sparsity = 0.1;  // of all heads
  int steps = 40;
  int ends = 0;  // the last finite step; 0: runs to the end
};

// Of causal rows: the mean of log i.
inline double uniform_entropy_of_context() {
  double sum = 0.0;
  for (int i = 1; i <= kContext; ++i) sum += std::log(i) / kContext;
  return sum;
}

// Share of uniform rows' entropy; at the last step of a run to the end it is `end`.
inline double entropy_share(const LanguageCourse& course, int step, int layer) {
  const double last = layer == 1 ? std::min(course.middle, course.end) : course.end;
  return course.start + (last - course.start) * step / course.steps;
}

inline json language_line(int step, const LanguageCourse& course) {
  json entropy = json::array(), norm = json::array(), maximum = json::array();
  for (int layer = 0; layer < kLanguageLayers; ++layer) {
    const double mean = entropy_share(course, step, layer) * uniform_entropy_of_context();
    entropy.push_back({mean - 0.1, mean + 0.1});
    maximum.push_back({course.sparsity, course.sparsity});
    norm.push_back({course.norm * step / course.steps, course.norm * step / course.steps});
  }
  const bool over = course.ends > 0 && step > course.ends;
  return {{"step", step},
          {"loss", over ? json() : json(5.0 - 0.01 * step)},
          {"gradient_norm", over ? json() : json(1.0 + 0.1 * step)},
          {"entropy", over ? json(std::vector<json>(kLanguageLayers, json{nullptr, nullptr})) : entropy},
          {"maximum", maximum},
          {"frobenius_norm", over ? json(std::vector<json>(kLanguageLayers, json{nullptr, nullptr})) : norm}};
}

// As the program leaves it: a run that diverged has no losses in its result.
inline MadeUp made_up_language(const LanguageCourse& course) {
  const bool diverged = course.ends > 0;
  const int steps = diverged ? course.ends + 1 : course.steps;
  std::string log, validation;
  for (int step = 1; step <= steps; ++step) log += language_line(step, course).dump() + "\n";
  for (int step = 0; step < steps + (diverged ? 0 : 1); step += 20) {
    const double loss = course.loss + (course.steps - step) / 20.0;
    validation += json{{"step", step}, {"loss", loss}}.dump() + "\n";
  }
  MadeUp made{
      .metrics = {{"steps", steps}, {"diverged", diverged}, {"last_finite_step", diverged ? course.ends : steps}},
      .files = {{"metrics.jsonl", log}, {"validation.jsonl", validation}}};
  if (!diverged) made.metrics["validation_loss"] = course.loss;
  return made;
}

}  // namespace polariscope::testing
