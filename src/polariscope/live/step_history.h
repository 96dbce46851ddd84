// The steps of a run in bounded memory, however many there are: enough of every curve to draw it.
#pragma once

#include "polariscope/runs/logged_step.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace polariscope::live {

// Consecutive steps share a bucket, which keeps the least, the largest and the mean of every number: a spike of one
// step stays on the screen after a million. Once there are kMostBuckets, two and two become one.
class StepHistory {
 public:
  static constexpr std::size_t kMostBuckets = 1200;

  // What became of a number in a bucket; all NaN where it was never finite.
  struct Cell {
    float low, high, mean;
    std::uint32_t finite;  // values that were
  };
  using Curve = std::vector<Cell>;  // [buckets]
  struct HeadCurves {
    std::vector<Curve> layers;              // of the mean over a layer's heads
    std::vector<std::vector<Curve>> heads;  // [layers][heads]
  };

  // Steps grow: one that does not is passed over.
  void add(const runs::LoggedStep& step);

  std::size_t buckets() const { return first_steps_.size(); }
  // Steps that a bucket holds; the last one may hold fewer.
  std::size_t width() const { return width_; }
  const std::vector<std::int64_t>& first_steps() const { return first_steps_; }
  const std::vector<std::int64_t>& last_steps() const { return last_steps_; }
  // Every curve has all buckets.
  const std::map<std::string, Curve>& numbers() const { return numbers_; }
  const std::map<std::string, HeadCurves>& heads() const { return heads_; }

 private:
  template <class Visit>
  void for_each_curve(const Visit& visit);
  void begin_bucket(std::int64_t step);
  void halve();

  std::size_t width_ = 1, in_last_ = 0;
  std::vector<std::int64_t> first_steps_, last_steps_;
  std::map<std::string, Curve> numbers_;
  std::map<std::string, HeadCurves> heads_;
};

// Of two parts of a run that follow each other.
StepHistory::Cell together(const StepHistory::Cell& one, const StepHistory::Cell& other);

}  // namespace polariscope::live
