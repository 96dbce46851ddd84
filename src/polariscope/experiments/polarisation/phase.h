// Ours: where in the space of starts, losses and re-weighting functions weights polarise, and who wins.
#pragma once

#include "polariscope/experiments/polarisation/start_map.h"
#include "polariscope/experiments/shared/experiment.h"

#include <string_view>
#include <vector>

namespace polariscope::experiments::polarisation::phase {

struct Protocol {
  int dim = 8;  // d = k
  // Over the scales of V₀ and a₀, each function under logistic and under square loss.
  std::vector<std::string_view> reweightings{"softmax", "relu/sum", "square/sum", "sigmoid"};
  std::vector<double> value_scales{0.001, 0.01, 0.1, 0.3, 1.0, 3.0};
  std::vector<double> score_scales{0.001, 0.01, 0.1, 0.3, 1.0, 3.0};
  double score_offset = 1.0;  // where all functions have weight; softmax does not mind
  double step = 0.1;
  std::int64_t steps = 0;
  // Least squares with softmax over the condition number and the scale of V₀.
  std::vector<double> conditions{1.0, 2.0, 3.0, 4.0, 5.0};
  std::vector<double> condition_value_scales{1e-5, 1e-3, 0.1, 0.3, 1.0, 3.0};
  double condition_score_scale = 1e-3, condition_step = 0.01;
  std::int64_t condition_steps = 30'000;

  std::int64_t per_cell = 0;  // trajectories
  std::int64_t cells() const;
};
Protocol protocol_of(Preset preset);

struct Panel {
  flow::Loss loss;
  std::string_view reweighting;
  StartMap map;  // rows: scales of V₀; columns: of a₀

  std::string name() const;  // "logistic, softmax"
};
struct Maps {
  std::vector<Panel> panels;  // logistic and square loss in turn, for each function
  StartMap conditions;        // rows: scales of V₀; columns: κ

  const StartMap& of(flow::Loss loss, std::string_view reweighting) const;
};
Maps measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Maps& maps);
report::Section describe(const Protocol& protocol, const Maps& maps);

}  // namespace polariscope::experiments::polarisation::phase
