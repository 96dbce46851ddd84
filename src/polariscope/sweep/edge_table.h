// What a search for the edge found, for people and for programs.
#pragma once

#include "polariscope/sweep/edge.h"

#include <optional>
#include <string>

namespace polariscope::sweep {

// A learning rate on, above or below what was tried.
struct EdgeRate {
  enum class Side { kBelow, kAt, kAbove };  // all rates collapsed, or none did
  double rate = 0.0;                        // below: the smallest tried; above: the largest
  Side side = Side::kAt;
};
// "0.35", "at least 2867", "below 0.0001709".
std::string in_words(const EdgeRate& rate);

// Over the seeds whose search is at its end.
struct EdgeSpread {
  EdgeRate lowest, highest;
  std::optional<EdgeRate> median;  // in the logarithm; nothing between one below and one above what was tried
  int seeds = 0;                   // at least 1
};
// Nothing where no seed's search is at its end.
std::optional<EdgeSpread> spread_of(const VariantEdge& edge);

// A row a variant: edge, its ratio to the first variant's, the loss at the edge, runs, and by which signs they
// collapsed. Below it the runs that failed, and what the numbers mean.
std::string edges_in_words(const EdgePlan& plan, const std::vector<VariantEdge>& edges);

// An object with what the search was and `variants`: name, settings, edge (null, or median, lowest and highest, each
// with rate and side) and seeds with their runs.
std::string edges_as_json(const EdgePlan& plan, const std::vector<VariantEdge>& edges);

}  // namespace polariscope::sweep
