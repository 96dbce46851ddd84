// The last few states of a run that it can be rescued to: checkpoint/rescue-STEP.safetensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace polariscope::train {

// One every kEvery steps, at most four files at a time. A step decides alone which are there, so that a run that goes
// on after a kill is rescued to the same ones.
class RescuePoints {
 public:
  // A rescue goes back this many steps or more: an alarm of a collapse comes 50 steps after its signs, which are told
  // over 20 (runs/collapse_detector.h); PaLM went back about 100 (Chowdhery et al. 2022, section 5.1).
  static constexpr std::int64_t kBack = 100, kEvery = 50;

  explicit RescuePoints(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path path(std::int64_t step) const;
  bool empty() const { return steps().empty(); }
  // The latest at least kBack steps before `step`, else the first that is there. There must be one.
  std::int64_t before(std::int64_t step) const;
  // Removes what no rescue of a later step can need; those after `step`; and all.
  void forget_before(std::int64_t step) const;
  void forget_after(std::int64_t step) const;
  void forget() const;

 private:
  std::vector<std::int64_t> steps() const;  // that are there, rising

  std::filesystem::path folder_;
};

}  // namespace polariscope::train
