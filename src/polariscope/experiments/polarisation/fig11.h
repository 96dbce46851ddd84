// Figure 11 of the polarisation paper: the tied model, whose winning column grows massive.
#pragma once

#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/shared/experiment.h"

#include <span>
#include <vector>

namespace polariscope::experiments::polarisation::fig11 {

struct Protocol {
  std::vector<int> dims{10, 20, 50, 100};  // D, outputs and tokens alike
  DescentPlan descents;                    // of each
};
Protocol protocol_of(Preset preset);

// The norms of U's columns along a trajectory, [records]: the winner's, and the median of the others.
struct Column {
  std::vector<double> winner, others;
};

struct Measured {
  int seeds = 0;
  std::vector<flow::Trajectory> trajectories;  // by dimension, then seed
  std::vector<Column> columns;                 // likewise

  std::span<const flow::Trajectory> at(std::size_t dim) const;
  std::span<const Column> columns_at(std::size_t dim) const;
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& runs);
report::Section describe(const Protocol& protocol, const Measured& runs);

}  // namespace polariscope::experiments::polarisation::fig11
