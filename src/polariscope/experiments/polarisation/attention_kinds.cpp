#include "polariscope/experiments/polarisation/attention_kinds.h"

#include "polariscope/reweighting/attention_form.h"

namespace polariscope::experiments {

AttentionKind kind_of(std::string_view attention) {
  const reweighting::AttentionForm& form = reweighting::find_attention_form(attention);
  if (attention == "uniform") return AttentionKind::kUniform;
  if (reweighting::is_signed(form)) return AttentionKind::kSigned;
  return form.normaliser == reweighting::Normaliser::kSum ? AttentionKind::kNormalised : AttentionKind::kUnnormalised;
}

std::string_view name_of(AttentionKind kind) {
  switch (kind) {
    case AttentionKind::kNormalised: return "normalised positive";
    case AttentionKind::kUnnormalised: return "unnormalised positive";
    case AttentionKind::kSigned: return "signed";
    case AttentionKind::kUniform: return "uniform";
  }
  return "";
}

}  // namespace polariscope::experiments
