#include "polariscope/experiments/shared/attention_looks.h"

#include "polariscope/report/colours.h"

namespace polariscope::experiments {

using reweighting::AttentionForm;
using reweighting::find_attention_form;

std::string colour_of(std::string_view attention) {
  const std::string_view name = find_attention_form(attention).colour;
  return name.empty() ? "" : report::named_colour(name);
}

bool is_dashed(std::string_view attention) {
  const AttentionForm& form = find_attention_form(attention);
  return form.rule == reweighting::RowRule::kElementwise && form.normaliser == reweighting::Normaliser::kNone;
}

reweighting::WeightKind kind_of(std::string_view attention) { return kind_of(find_attention_form(attention)); }

}  // namespace polariscope::experiments
