#include "polariscope/flow/ensemble.h"

#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/flow/internal/finite.h"
#include "polariscope/flow/internal/kernels.h"

#include <algorithm>
#include <atomic>
#include <vector>

namespace polariscope::flow {
namespace {

// One block of W trajectories; the last block of an ensemble repeats its first one in the spare lanes.
class Block {
 public:
  Block(std::vector<Start> starts, const DescentOptions& options)
      : options_(options), arrays_(starts.front().problem, Packing::kAcrossTrajectories) {
    for (int lane = 0; lane < arrays_.lanes(); ++lane) {
      const Start& start = starts[lane < static_cast<int>(starts.size()) ? lane : 0];
      validate(start.problem, start.state);
      arrays_.set(lane, start.problem, start.state, 0.0);
    }
    for (Start& start : starts) {
      trajectories_.push_back(Trajectory::starting(std::move(start.problem), std::move(start.state)));
    }
  }

  void run(const std::vector<std::int64_t>& samples) {
    std::int64_t done = 0;
    for (const std::int64_t sample : samples) {
      descend_across_trajectories(arrays_.views(), options_.step, sample - done);
      done = sample;
      stop_if_interrupted();
      for (std::size_t lane = 0; lane < trajectories_.size(); ++lane) record(static_cast<int>(lane), done);
    }
  }

  const std::vector<Trajectory>& trajectories() const { return trajectories_; }

 private:
  void record(int lane, std::int64_t done) {
    Trajectory& trajectory = trajectories_[lane];
    if (trajectory.ending == Ending::kDiverged) return;
    State state = trajectory.final_state;
    double strength = 0.0;
    arrays_.get(lane, state, strength);
    if (!all_finite(state)) {
      trajectory.ending = Ending::kDiverged;
      return;
    }
    observe(trajectory, state, static_cast<double>(done) * options_.step, strength, options_.singular_values);
    trajectory.final_state = std::move(state);
    trajectory.evaluations = done;
  }

  const DescentOptions& options_;
  FieldArrays arrays_;
  std::vector<Trajectory> trajectories_;
};

}  // namespace

void descend_ensemble(const std::function<Start(std::int64_t)>& draw, const EnsembleOptions& options,
                      const std::function<void(std::int64_t, const Trajectory&)>& visit) {
  validate(options.descent);
  if (options.trajectories < 1)
    throw Error("an ensemble of {} trajectories: at least 1 is needed", options.trajectories);
  const std::vector<std::int64_t> samples =
      options.descent.samples.empty() ? log_samples(options.descent.steps, 60) : options.descent.samples;
  const std::int64_t width = simd_lanes();
  std::atomic<std::int64_t> finished = 0;
  parallel_for((options.trajectories + width - 1) / width, options.threads, [&](std::int64_t index) {
    stop_if_interrupted();
    const std::int64_t first = index * width;
    const std::int64_t last = std::min(first + width, options.trajectories);
    std::vector<Start> starts;
    for (std::int64_t i = first; i < last; ++i) starts.push_back(draw(i));
    Block block(std::move(starts), options.descent);
    block.run(samples);
    for (std::int64_t i = first; i < last; ++i) visit(i, block.trajectories()[i - first]);
    finished += last - first;
    if (options.progress) options.progress(finished);
  });
}

}  // namespace polariscope::flow
