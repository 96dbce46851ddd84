// How fast weights grow with their scores, where that matters: sums of large ones would overflow.
#pragma once

#include "polariscope/reweighting/reweighting.h"

namespace polariscope::reweighting {

// f(z) grows as this power of |z|; 0 where it is bounded, and for e^z, whose rows are lowered by their maximum.
constexpr int growth_of(WeightFunction f) {
  switch (f) {
    case WeightFunction::kExp:
    case WeightFunction::kSigmoid:
    case WeightFunction::kOne: return 0;
    case WeightFunction::kRelu:
    case WeightFunction::kElu1:
    case WeightFunction::kIdentity:
    case WeightFunction::kAbs: return 1;
    case WeightFunction::kSquare: return 2;
  }
  return 0;
}

}  // namespace polariscope::reweighting
