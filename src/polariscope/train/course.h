// Which batch a step takes, and what share of its scheduled learning rate: what rescues (train/run.h) change.
#pragma once

#include <cstdint>
#include <vector>

namespace polariscope::train {

// Functions of the step alone, counted from 1, so that a step that is taken again is the same step.
class Course {
 public:
  // What holds of the steps behind one.
  struct Turn {
    std::int64_t after = 0;
    double factor = 1.0;       // on the learning rate, in (0, 1]
    std::int64_t skipped = 0;  // batches
  };

  // Back to the step `after`, from which on this turn holds besides those before. Those of later steps hold from there
  // on as well: what was learned of a step's rate is not forgotten with the step.
  void turn(const Turn& turn);

  // The batch of a step, counted from 0: one after the other, but for those skipped.
  std::int64_t batch(std::int64_t step) const;
  // The product of the factors.
  double rate(std::int64_t step) const;

  const std::vector<Turn>& turns() const { return turns_; }

 private:
  std::vector<Turn> turns_;
};

}  // namespace polariscope::train
