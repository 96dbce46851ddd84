// Says of a training, step by step, which head's attention is collapsing or whose scores run away, before the loss
// shows it. What it watches and how good it measured: docs/alarms.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::runs {

// Of one head at one step, means over a batch.
struct HeadReading {
  double entropy = 0.0, frobenius_norm = 0.0, logit_variance = 0.0;
};

// The attention maps of a model, for what entropy and norm are compared with.
struct MapShape {
  int layers = 1, heads = 1;
  double uniform_entropy = 1.0;  // of uniform attention, mean over the rows
  int rows = 1;                  // one-hot rows have the norm √rows
};
// Rows of a map that sees all of `tokens`, or of a causal one, whose row i sees i of them: the uniform entropy is
// log N, or the mean of log i.
MapShape map_shape(int layers, int heads, int tokens, bool causal);

// What trips an alarm. The defaults were set on the trainings that docs/alarms.md names.
struct AlarmThresholds {
  // Collapse: a head on few tokens whose scores still grow apart. All four must hold for collapse_steps in a row. A
  // head on few tokens is healthy by itself (one that looks at the token before), and so are scores that grow slowly.
  double relative_entropy = 0.15;  // H/H_uniform below
  double norm_share = 0.9;         // ‖P‖_F/√rows above
  double collapse_variance = 1e3;  // logit variance above: the likeliest key is some 30 nats ahead
  double collapse_growth = 3e-3;   // of the variance's logarithm, a step, over the last kGrowthSteps: above
  int collapse_steps = 50;         // a layer that jumps and then stands still has stopped growing by then

  // Runaway: within kVarianceSteps the variance of a head's scores grew by a factor that learning seldom has, while
  // the gradient is far above its median. One step is enough: the explosions that begin so take some ten.
  double runaway_growth = 10.0;   // factor on the least variance of the last kVarianceSteps: above
  double runaway_variance = 1.0;  // logit variance above: below, the softmax hardly feels it
  double gradient_factor = 20.0;  // on the median gradient norm of the last kGradientSteps: above

  // An alarm is given once; the head can give the next after the sign has been gone for so many steps.
  int quiet_steps = 50;
};

enum class AlarmKind { kCollapse, kRunaway };
std::string_view alarm_kind_name(AlarmKind kind);  // "collapse", "runaway"

struct Alarm {
  AlarmKind kind = AlarmKind::kCollapse;
  std::int64_t step = 0;
  int layer = 0, head = 0;        // counted from 1
  double relative_entropy = 0.0;  // H/H_uniform, smoothed
  double norm_share = 0.0;        // ‖P‖_F/√rows, smoothed
  double logit_variance = 0.0;    // collapse: smoothed
  double variance_growth = 0.0;   // collapse: of its logarithm a step; runaway: factor within kVarianceSteps
  double gradient_factor = 0.0;   // gradient norm over its median; 0 before there is one
};
// One sentence, without step: what is under way, where, and the numbers.
std::string in_words(const Alarm& alarm);

// Fed with every step of a training in order. It keeps a few dozen numbers a head, whatever the training's length. A
// head whose readings are not finite is passed over at that step, and so is the step of a gradient that is not.
class CollapseDetector {
 public:
  explicit CollapseDetector(const MapShape& shape, const AlarmThresholds& thresholds = {});

  // readings: [layers, heads]. Returns the alarms of this step. Throws Error for another number of readings.
  std::vector<Alarm> step(std::int64_t step, double gradient_norm, std::span<const HeadReading> readings);

  // All that the next step depends on, in plain numbers; after restore() the same alarms. restore() throws Error for
  // the state of a detector of another number of heads, or one that no detector gives.
  std::vector<double> state() const;
  void restore(std::span<const double> state);

  const MapShape& shape() const { return shape_; }

  // Steps that growth is told over, that a runaway takes at most, and that the median gradient is of.
  static constexpr int kGrowthSteps = 20, kVarianceSteps = 10, kGradientSteps = 64;

 private:
  // Whether a sign is on, since when it is off, and whether its episode was told.
  struct Episode {
    int on = 0, off = 0;  // steps in a row
    bool told = false;
    // Whether this step begins an episode: the sign has been on for `steps`.
    bool begins(bool sign, int steps, int quiet_steps);
  };
  struct Head {
    std::int64_t read = 0;                                 // finite readings so far
    double entropy = 0.0, norm = 0.0, log_variance = 0.0;  // smoothed
    std::array<double, kVarianceSteps> log_variances{};    // of the last readings, a ring
    std::array<double, kGrowthSteps> smoothed{};           // log_variance after the last readings, a ring
    Episode collapse, runaway;
  };

  template <class Detector, class Visit>
  static void visit_state(Detector& detector, const Visit& visit);
  double gradient_factor(double gradient_norm) const;
  void watch(Head& head, const HeadReading& reading, Alarm of_head, std::vector<Alarm>& alarms) const;

  MapShape shape_;
  AlarmThresholds thresholds_;
  std::vector<Head> heads_;
  std::array<double, kGradientSteps> gradients_{};  // of the last steps, a ring
  std::int64_t gradients_kept_ = 0;
};

}  // namespace polariscope::runs
