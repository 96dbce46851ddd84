// A sweep whose trainings are made up: what every run "measured" is a function of its settings.
#pragma once

#include "polariscope/base/files.h"
#include "polariscope/experiments/shared/report_parts.h"
#include "polariscope/sweep/local_workers.h"
#include "polariscope/sweep/sweep.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace polariscope::testing {

using nlohmann::json;

// What a run leaves: the metrics of result.json, and other files of its folder. Metrics null: the run failed.
struct MadeUp {
  json metrics;
  std::vector<std::pair<std::string, std::string>> files = {};
};
using Measure = std::function<MadeUp(const json& settings)>;

class MadeUpRuns {
 public:
  MadeUpRuns(const std::string& grid, const Measure& measure) {
    const sweep::Grid parsed = sweep::Grid::parse(grid, "grid.toml", runs::defining_options());
    Writers writers(parsed, measure);
    ProgressBoard board(ProgressBoard::Mode::kQuiet);
    sweep::run_sweep(parsed, folder_.path() / "runs" / "made-up", {}, writers, board);
  }

  experiments::Context context() const { return {.out = folder_.path(), .sweep = "runs/made-up", .progress = {}}; }
  report::Section section_of(std::string_view id) const {
    return experiments::named_section(experiments::find_experiment(id), context());
  }

 private:
  class Writers : public sweep::Workers {
   public:
    Writers(const sweep::Grid& grid, const Measure& measure) : grid_(grid), measure_(measure) {}
    bool has_place() const override { return true; }
    void start(sweep::Job job) override {
      make_folder(job.folder);
      write_file(job.folder / "config.toml", job.config);
      const json settings = json::parse(grid_.json_of(grid_.runs()[static_cast<std::size_t>(job.run) - 1]));
      const MadeUp made = measure_(settings);
      for (const auto& [name, text] : made.files) write_file(job.folder / name, text);
      if (!made.metrics.is_null()) write_file(job.folder / "result.json", made.metrics.dump());
      sweep::RunEnd end = sweep::read_result(job.folder).value_or(sweep::RunEnd{.failure = "made up"});
      end.run = job.run;
      ends_.push_back(std::move(end));
    }
    std::vector<sweep::RunEnd> ended() override { return std::exchange(ends_, {}); }
    void stop() override {}

   private:
    const sweep::Grid& grid_;
    const Measure& measure_;
    std::vector<sweep::RunEnd> ends_;
  };

  TemporaryFolder folder_;
};

inline const report::Claim& claim_named(const report::Section& section, const std::string& id) {
  const auto found = std::ranges::find(section.claims, id, &report::Claim::id);
  if (found == section.claims.end()) throw std::runtime_error("no claim " + id);
  return *found;
}

}  // namespace polariscope::testing
