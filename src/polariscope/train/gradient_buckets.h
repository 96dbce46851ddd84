// Gradients are summed over all ranks while the backward pass still makes others.
#pragma once

#include "polariscope/models/parameters.h"
#include "polariscope/train/ranks.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace torch::autograd {
struct Node;
}

namespace polariscope::train {

class GradientBuckets {
 public:
  // Both must outlive it. Hooks stay on the parameters.
  GradientBuckets(models::Parameters& parameters, Ranks& ranks);

  // Before the backward pass after which gradients are to be summed.
  void begin();
  // After it: sums what has not begun, and waits.
  void end();

 private:
  struct Bucket {
    std::int64_t first, count;  // of the flat gradients
    int parameters, missing;    // in it, and those whose gradient is not there yet
  };
  void arrived(std::size_t bucket);
  void start_ready();

  models::Parameters& parameters_;
  Ranks& ranks_;
  std::vector<std::shared_ptr<torch::autograd::Node>>
      nodes_;                    // that add up gradients: they live while someone has them
  std::vector<Bucket> buckets_;  // in the order in which they are summed, the same on every rank
  std::size_t next_ = 0;
  bool active_ = false;
};

}  // namespace polariscope::train
