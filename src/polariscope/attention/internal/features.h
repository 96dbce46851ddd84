// The feature map φ of queries and keys, number by number; vectors take theirs in scores-inl.h.
#pragma once

#include "polariscope/reweighting/attention_form.h"

#include <cmath>

namespace polariscope::attention {

template <class T>
T map_feature(const reweighting::AttentionForm& form, T x) {
  switch (form.feature) {
    case reweighting::FeatureMap::kRelu: return (x < T(0) ? T(0) : x) + static_cast<T>(form.feature_offset);
    case reweighting::FeatureMap::kElu1: return x > T(0) ? x + T(1) : std::exp(x);
    case reweighting::FeatureMap::kNone: break;
  }
  return x;
}

// φ'.
template <class T>
T feature_slope(const reweighting::AttentionForm& form, T x) {
  switch (form.feature) {
    case reweighting::FeatureMap::kRelu: return x > T(0) ? T(1) : T(0);
    case reweighting::FeatureMap::kElu1: return x > T(0) ? T(1) : std::exp(x);
    case reweighting::FeatureMap::kNone: break;
  }
  return T(1);
}

// The same of an x of which φ(x) is at hand, which saves an exponential.
template <class T>
T feature_slope(const reweighting::AttentionForm& form, T x, T phi) {
  switch (form.feature) {
    case reweighting::FeatureMap::kRelu: return x > T(0) ? T(1) : T(0);
    case reweighting::FeatureMap::kElu1: return x > T(0) ? T(1) : phi;
    case reweighting::FeatureMap::kNone: break;
  }
  return T(1);
}

}  // namespace polariscope::attention
