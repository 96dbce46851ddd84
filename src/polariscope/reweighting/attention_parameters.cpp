#include "polariscope/reweighting/attention_parameters.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <algorithm>
#include <array>
#include <vector>

namespace polariscope::reweighting {
namespace {

template <RowRule rule>
bool has_rule(const AttentionForm& form) {
  return form.rule == rule;
}
bool has_factor(const AttentionForm& form) {
  return form.transform == Transform::kSoftCap || form.transform == Transform::kLogCount;
}
bool has_count_power(const AttentionForm& form) { return form.normaliser == Normaliser::kCount; }
bool has_feature_offset(const AttentionForm& form) { return form.feature == FeatureMap::kRelu; }

constexpr std::array kParameters{
    AttentionParameter{"alpha", &AttentionForm::alpha, has_rule<RowRule::kEntmax>},
    AttentionParameter{"gamma", &AttentionForm::gamma, has_rule<RowRule::kClippedSoftmax>},
    AttentionParameter{"zeta", &AttentionForm::zeta, has_rule<RowRule::kClippedSoftmax>},
    AttentionParameter{"epsilon", &AttentionForm::epsilon, has_rule<RowRule::kSoftpick>},
    AttentionParameter{"transform_factor", &AttentionForm::transform_factor, has_factor},
    AttentionParameter{"sum_offset", &AttentionForm::sum_offset, has_sum_offset},
    AttentionParameter{"count_power", &AttentionForm::count_power, has_count_power},
    AttentionParameter{"feature_offset", &AttentionForm::feature_offset, has_feature_offset},
};

}  // namespace

std::span<const AttentionParameter> attention_parameters() { return kParameters; }

void set_parameter(AttentionForm& form, std::string_view name, double value) {
  const auto* known = std::ranges::find(kParameters, name, &AttentionParameter::name);
  if (known == kParameters.end()) {
    std::vector<std::string_view> names;
    for (const AttentionParameter& parameter : kParameters) names.push_back(parameter.name);
    throw Error("{}", unknown_name("parameter", name, names));
  }
  if (!known->belongs_to(form)) throw Error("attention {} has no parameter {}", form.name, name);
  form.*known->member = value;
}

}  // namespace polariscope::reweighting
