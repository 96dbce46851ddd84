// What `polariscope flow` was asked to do.
#pragma once

#include "polariscope/flow/descent.h"
#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/start.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::cli {

// The options of the subcommand as they were typed.
struct FlowSettings {
  std::string model = "value-softmax", loss = "logistic", reweighting = "softmax", method = "gd", solver = "auto";
  std::string init, out, config;
  double dim = 8, tokens = 8, rows = 4, seed = 0, steps = 1e5, samples = 200, trajectories = 1;
  double step = 0.1, until = 0, rtol = 1e-9, condition = 1;
  double value_scale = 0, score_scale = 0, score_offset = 0;
  bool check = false, json = false, quiet = false;
  // Which of them were given, where the default depends on others.
  bool has_dim = false, has_tokens = false, has_rows = false, has_reweighting = false, has_steps = false,
       has_step = false, has_until = false, has_rtol = false;
  bool has_value_scale = false, has_score_scale = false, has_score_offset = false;
};

// The same, looked up and checked.
struct FlowRun {
  flow::Model model;
  flow::Loss loss;
  const reweighting::Reweighting* reweighting;
  flow::StartOptions start;
  nlohmann::json arrays;  // of --init; null without it
  std::string arrays_from;
  std::uint64_t seed;
  bool flow;  // --method flow
  flow::DescentOptions descent;
  flow::FlowOptions integration;
  double tolerance;  // of the checks
  std::int64_t trajectories;
};

// Throws Error for names, numbers and combinations that make no sense.
FlowRun plan_flow(const FlowSettings& settings);

// Start number `index` of the run: random, with the arrays of --init over it.
flow::Start start_of(const FlowRun& run, std::int64_t index);

// Runs one start to its end.
flow::Trajectory run_one(const FlowRun& run, const flow::Start& start);

// Many starts at once, in a summary of their ends.
struct EnsembleSummary {
  // winner_first: argmax σ = argmax u at the start
  std::int64_t trajectories = 0, diverged = 0, stuck = 0, winner_first = 0;
  std::vector<double> largest_weight, entropy, loss;  // at the end, one a trajectory that came there
  struct Tally {
    std::string_view id, statement;
    std::int64_t applied = 0, violations = 0;
    double worst_margin = 0.0;
  };
  std::vector<Tally> checks;
};
EnsembleSummary run_many(const FlowRun& run, const std::function<void(std::int64_t done)>& progress);

// One JSON object for machines; numbers that are not finite are null.
nlohmann::json as_json(const FlowRun& run, const flow::Trajectory& trajectory);
nlohmann::json as_json(const FlowRun& run, const EnsembleSummary& summary);

// The same for a person, at most 100 columns.
std::string in_words(const FlowRun& run, const flow::Trajectory& trajectory, bool with_checks, bool colour);
std::string in_words(const FlowRun& run, const EnsembleSummary& summary, bool with_checks, bool colour);

}  // namespace polariscope::cli
