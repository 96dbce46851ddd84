#include "polariscope/reweighting/simd_target_name.h"

#include "polariscope/reweighting/simd_target.h"

#include <hwy/highway.h>
#include <hwy/targets.h>

namespace polariscope::reweighting {

std::string simd_target_name() {
  obey_forced_target();
  return hwy::TargetName(hwy::SupportedAndGeneratedTargets().front());  // the best comes first
}

}  // namespace polariscope::reweighting
