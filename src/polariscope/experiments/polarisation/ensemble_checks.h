// The theorems' checks over many random trajectories, and what a report says of them.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/flow/checks.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/start.h"

#include <atomic>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::experiments {

// How one group of trajectories is drawn.
struct Setting {
  flow::Model model = flow::Model::kValueSoftmax;
  flow::Loss loss = flow::Loss::kLogistic;
  const reweighting::Reweighting* reweighting = &reweighting::find_reweighting("softmax");
  flow::StartOptions start = {};
  bool along_beta = false;  // V₀ = βu₀ᵀ/‖β‖² with the drawn u₀: nothing orthogonal to β

  std::string name() const;  // "logistic, softmax, k = 8, V₀ = 0.1·N"
  flow::Start draw(std::uint64_t seed, std::uint64_t trajectory) const;
};

// `like` with every size d = k and every scale of V₀.
std::vector<Setting> settings_of(const Setting& like, std::span<const int> sizes, std::span<const double> scales);

// Runs random trajectories by descent and by the flow, and keeps the margins of `checks` on them. Trajectory
// i of setting s draws from a stream of its own, so the numbers do not depend on the number of threads.
class CheckedEnsemble {
 public:
  // Called with the setting's and the trajectory's number, from any thread.
  using Visit = std::function<void(std::size_t setting, std::int64_t trajectory, const flow::Trajectory&)>;

  // `trajectories`: how many will be run in all, for the progress line.
  CheckedEnsemble(const Context& context, std::vector<std::string_view> checks, std::int64_t trajectories);

  void descend(std::span<const Setting> settings, std::int64_t each, const flow::DescentOptions& options,
               const Visit& visit = {});
  void integrate(std::span<const Setting> settings, std::int64_t each, const flow::FlowOptions& options,
                 const Visit& visit = {});
  // Any other trajectory; `group` names its line in the table.
  void add(const std::string& group, const flow::Trajectory& trajectory, double tolerance);
  void finish();

  struct Count {
    long long applied = 0, violations = 0;
    double worst = 0.0;  // smallest margin; NaN where the precondition never held
  };
  Count count(std::string_view check) const;

  // holds: no violation; fails: any; inconclusive: the precondition held nowhere.
  report::Claim claim(std::string_view check, std::string source, std::string evidence) const;
  // Histograms of the margins, one panel a check; the table has a line for every check and setting.
  report::Figure figure(std::string id, std::span<const std::string_view> checks) const;

 private:
  using Group = std::map<std::string, std::vector<double>>;   // margins by name of the group
  std::vector<double> margins(std::string_view check) const;  // of all groups, rising
  report::Table table() const;

  const Context& context_;
  std::vector<std::string_view> checks_;
  std::map<std::string_view, Group> margins_;
  std::atomic<std::int64_t> done_ = 0, violations_ = 0;
  std::uint64_t next_stream_ = 0;
  std::mutex mutex_;  // guards margins_
  Progress progress_;
};

// "1 234 567", as a person reads it.
std::string counted(long long number);

}  // namespace polariscope::experiments
