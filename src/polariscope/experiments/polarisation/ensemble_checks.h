// Many random trajectories, and the theorems' checks on each of them.
#pragma once

#include "polariscope/experiments/polarisation/margins.h"
#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/start.h"

#include <atomic>
#include <functional>
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

// What the theorems' experiments run: random starts of every size and scale, by descent and by the flow.
struct EnsemblePlan {
  Setting like = {};           // in all but size and scale
  std::vector<int> sizes;      // d = k
  std::vector<double> scales;  // of V₀
  std::int64_t descents = 0;   // a setting, that is a size and a scale
  double step = 0.0;
  std::int64_t steps = 0;
  std::int64_t flows = 0;  // a setting

  std::vector<Setting> settings() const { return settings_of(like, sizes, scales); }
  // The same starts in the reduced model, which is exact under logistic loss and small enough for the stiff solver.
  std::vector<Setting> reduced() const;
  std::int64_t all_descents() const { return descents * count(); }
  std::int64_t all_flows() const { return flows * count(); }
  std::int64_t count() const { return static_cast<std::int64_t>(sizes.size() * scales.size()); }  // of settings
};

// Rows of the configuration: model, loss, re-weighting, d = k, V₀, a₀.
Quantities start_rows(const EnsemblePlan& plan, std::string model);
Quantity sizes_row(const EnsemblePlan& plan);
Quantity values_row(const EnsemblePlan& plan);
Quantity steps_row(const EnsemblePlan& plan);
// kinds: losses and re-weightings with which each setting is run.
Quantity descents_row(const EnsemblePlan& plan, long long kinds = 1);
Quantity flows_row(const EnsemblePlan& plan, long long kinds = 1);

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
  // After the last trajectory.
  Margins finish();

 private:
  void add(const std::string& group, const flow::Trajectory& trajectory, double tolerance);

  const Context& context_;
  std::atomic<std::int64_t> done_ = 0, violations_ = 0;
  std::uint64_t next_stream_ = 0;
  std::mutex mutex_;  // guards margins_
  Margins margins_;
  Progress progress_;
};

}  // namespace polariscope::experiments
