#include "polariscope/models/pretrained/attention_of.h"

#include "polariscope/base/error.h"

#include <bit>
#include <cstdint>

namespace polariscope::models {
namespace {

// Nearest, ties to even.
float rounded_to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U);
}

}  // namespace

reweighting::AttentionForm attention_form_of(const AttentionDescription& of) {
  if (!of.form.empty()) return reweighting::find_attention_form(of.form);
  const bool sigmoid = of.weights == AttentionWeights::kSigmoid;
  const bool sink = of.sink || of.constant_sink;
  if (sigmoid && sink) throw Error("sigmoid attention with a sink: a sink joins a softmax alone");
  reweighting::AttentionForm form = reweighting::find_attention_form(sigmoid ? "sigmoid" : sink ? "sink" : "softmax");
  if (of.soft_cap) {
    if (!of.alibi.slopes.empty() || of.logit_bias != 0.0) {
      throw Error("attention with a soft cap and a bias on its logits: the two are not known together");
    }
    form.transform = reweighting::Transform::kSoftCap;
    form.transform_factor = *of.soft_cap;
  }
  return form;
}

template <class T>
AttentionExtras<T> attention_extras_of(const AttentionDescription& of, std::int64_t keys) {
  AttentionExtras<T> extras;
  const double factor = of.alibi.scaled ? of.scale : 1.0;
  if (of.alibi.bfloat16) {
    // Rounded numbers: the position's product with the slope is not that of the distance.
    for (const double slope : of.alibi.slopes) {
      const float rounded = rounded_to_bfloat16(static_cast<float>(slope));
      for (std::int64_t j = 0; j < keys; ++j) {
        const double bias = factor * rounded_to_bfloat16(rounded * static_cast<float>(j)) + of.logit_bias;
        extras.bias.push_back(static_cast<T>(bias));
      }
    }
    extras.bias_stride = keys;
    return extras;
  }
  for (const double slope : of.alibi.slopes) extras.slopes.push_back(static_cast<T>(factor * slope));
  if (of.logit_bias != 0.0) extras.bias.assign(keys, static_cast<T>(of.logit_bias));
  return extras;
}

template AttentionExtras<float> attention_extras_of(const AttentionDescription&, std::int64_t);
template AttentionExtras<double> attention_extras_of(const AttentionDescription&, std::int64_t);

}  // namespace polariscope::models
