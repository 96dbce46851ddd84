#include "polariscope/experiments/polarisation/flow_words.h"

#include "polariscope/experiments/shared/protocol.h"

#include <fmt/format.h>

#include <string_view>

namespace polariscope::experiments {

std::string normal_in_words(double scale, double offset) {
  if (scale == 0.0) return plain(offset);
  const std::string spread = scale == 1.0 ? "N(0, 1)" : fmt::format("{}·N(0, 1)", plain(scale));
  return offset == 0.0 ? spread : fmt::format("{} + {}", plain(offset), spread);
}

std::string values_in_words(const flow::StartOptions& start) { return normal_in_words(start.value_scale); }
std::string scores_in_words(const flow::StartOptions& start) {
  return normal_in_words(start.score_scale, start.score_offset);
}

std::string integrator_in_words(const flow::FlowOptions& options) {
  const std::string_view solver = options.solver == flow::Solver::kBdf     ? ", BDF"
                                  : options.solver == flow::Solver::kAdams ? ", Adams"
                                                                           : "";
  return fmt::format("CVODE{} in log t, relative tolerance {}", solver, plain(options.rtol));
}

}  // namespace polariscope::experiments
