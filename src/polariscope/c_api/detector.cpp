// The alarms of a training.
#include "polariscope/base/error.h"
#include "polariscope/c_api.h"
#include "polariscope/c_api/internal/guard.h"
#include "polariscope/runs/collapse_detector.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

using polariscope::Error;
using polariscope::c_api::guarded;

struct polariscope_detector {
  polariscope::runs::CollapseDetector detector;
  std::vector<std::string> words;  // of the last step's alarms
};

namespace {

template <class Detector>
Detector& required(Detector* detector) {
  if (detector == nullptr) throw Error("the detector is missing: expected what polariscope_detector_new returned");
  return *detector;
}

const double* required(const double* array, const char* name) {
  if (array == nullptr) throw Error("the detector's {} is missing", name);
  return array;
}

}  // namespace

polariscope_detector* polariscope_detector_new(std::int32_t layers, std::int32_t heads, std::int32_t tokens,
                                               std::int32_t causal) {
  std::unique_ptr<polariscope_detector> made;
  guarded([&] {
    if (layers < 1 || heads < 1 || tokens < 1) {
      throw Error("a detector of {} layers, {} heads and {} tokens: each must be positive", layers, heads, tokens);
    }
    const auto shape = polariscope::runs::map_shape(layers, heads, tokens, causal != 0);
    made = std::make_unique<polariscope_detector>(
        polariscope_detector{.detector = polariscope::runs::CollapseDetector(shape), .words = {}});
  });
  return made.release();
}

void polariscope_detector_free(polariscope_detector* detector) { delete detector; }

std::int32_t polariscope_detector_step(polariscope_detector* detector, std::int64_t step, double gradient_norm,
                                       const double* entropy, const double* frobenius_norm,
                                       const double* logit_variance, polariscope_alarm* alarms, std::int32_t capacity,
                                       std::int32_t* count) {
  return guarded([&] {
    auto& is = required(detector);
    if (count == nullptr) throw Error("the detector's count is missing: expected where to write it");
    if (capacity < 0 || (capacity > 0 && alarms == nullptr)) {
      throw Error("room for {} alarms{}: expected the address of as many", capacity,
                  alarms == nullptr ? " at no address" : "");
    }
    for (std::int32_t i = 0; i < capacity; ++i) {
      polariscope::c_api::known_fields(alarms + i, sizeof(polariscope_alarm), "alarm");
    }
    const auto& shape = is.detector.shape();
    std::vector<polariscope::runs::HeadReading> readings(std::size_t(shape.layers) * shape.heads);
    required(entropy, "entropy");
    required(frobenius_norm, "Frobenius norm");
    required(logit_variance, "logit variance");
    for (std::size_t i = 0; i < readings.size(); ++i) {
      readings[i] = {.entropy = entropy[i], .frobenius_norm = frobenius_norm[i], .logit_variance = logit_variance[i]};
    }
    const auto found = is.detector.step(step, gradient_norm, readings);
    is.words.clear();
    for (const auto& alarm : found) is.words.push_back(in_words(alarm));
    for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), capacity); ++i) {
      alarms[i] = {.size = alarms[i].size,
                   .kind = static_cast<std::int32_t>(found[i].kind),
                   .layer = found[i].layer,
                   .head = found[i].head,
                   .step = found[i].step,
                   .relative_entropy = found[i].relative_entropy,
                   .norm_share = found[i].norm_share,
                   .logit_variance = found[i].logit_variance,
                   .variance_growth = found[i].variance_growth,
                   .gradient_factor = found[i].gradient_factor,
                   .words = is.words[i].c_str()};
    }
    *count = static_cast<std::int32_t>(found.size());
  });
}

std::int64_t polariscope_detector_state_size(const polariscope_detector* detector) {
  std::int64_t size = -1;
  guarded([&] { size = static_cast<std::int64_t>(required(detector).detector.state().size()); });
  return size;
}

std::int32_t polariscope_detector_save(const polariscope_detector* detector, double* state) {
  return guarded([&] {
    const std::vector<double> numbers = required(detector).detector.state();
    required(state, "state");
    std::copy(numbers.begin(), numbers.end(), state);
  });
}

std::int32_t polariscope_detector_restore(polariscope_detector* detector, const double* state, std::int64_t size) {
  return guarded([&] {
    auto& is = required(detector);
    if (size < 0) throw Error("a detector's state of {} numbers: expected their number", size);
    if (size > 0) required(state, "state");
    is.detector.restore(std::span(state, static_cast<std::size_t>(size)));
  });
}
