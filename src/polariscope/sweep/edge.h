// Where the edge is: of several variants of one training the largest learning rate that does not collapse, each by a
// search of short runs for every seed.
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/runs/settings.h"
#include "polariscope/sweep/edge_verdict.h"
#include "polariscope/sweep/workers.h"

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace polariscope::sweep {

struct EdgeVariant {
  std::string name;            // "attention=softmax"
  runs::NamedValues settings;  // what was given of the table of options, but learning rate and seed
};

struct EdgePlan {
  std::vector<EdgeVariant> variants;  // of different names
  double first_rate = 1e-3;           // finite, above 0
  double within = 1.5;                // edge_search.h
  double entropy_share = 0.1;         // edge_verdict.h
  std::int64_t first_seed = 0;
  int seeds = 2;  // from first_seed on, at least 1

  // The lines of the search's config.toml: what its runs are. More seeds, or an edge told more finely, are the same
  // search with further runs.
  std::string toml() const;
};

struct EdgeRun {
  double rate = 0.0;
  EdgeVerdict verdict = {};
  std::int64_t steps = 0;        // that it took to its end
  std::filesystem::path folder;  // as seen from that of the search
};

// The search of one variant and seed.
struct SeedEdge {
  std::int64_t seed = 0;
  double held = 0.0;                                           // the edge: the largest rate that held; 0: none
  double collapsed = std::numeric_limits<double>::infinity();  // the smallest above it that did not; infinity: none
  bool known = false;                                          // the search is at its end
  std::string failure = "";                                    // why a run gave no result, which ended the search
  std::vector<EdgeRun> runs = {};                              // in their order
};

struct VariantEdge {
  std::string name;
  std::vector<SeedEdge> seeds;
};

struct EdgeEnd {
  std::vector<VariantEdge> variants;  // as in the plan
  bool interrupted = false;
};

// Begins the search in `folder`, or goes on with it: a run that is done is not executed again, for `workers` take the
// result of a folder that has one. Every run has a folder in runs/VARIANT/; edge.json (edge_table.h) is written after
// each. A run that ends without a result ends its seed's search and no other; the next call tries it again. Throws
// Error if the folder holds another search or something else, if another process is at work on it, or if nothing can be
// written.
EdgeEnd find_edges(const EdgePlan& plan, const std::filesystem::path& folder, Workers& workers, ProgressBoard& board);

}  // namespace polariscope::sweep
