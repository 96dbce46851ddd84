#include "polariscope/train/course.h"

#include <algorithm>

namespace polariscope::train {

void Course::turn(const Turn& turn) {
  for (Turn& before : turns_) before.after = std::min(before.after, turn.after);
  turns_.push_back(turn);
}

std::int64_t Course::batch(std::int64_t step) const {
  std::int64_t batch = step - 1;
  for (const Turn& turn : turns_) batch += step > turn.after ? turn.skipped : 0;
  return batch;
}

double Course::rate(std::int64_t step) const {
  double rate = 1.0;
  for (const Turn& turn : turns_) rate *= step > turn.after ? turn.factor : 1.0;
  return rate;
}

}  // namespace polariscope::train
