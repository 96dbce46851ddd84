#include "polariscope/experiments/attention_kinds.h"

#include "polariscope/report/colours.h"
#include "polariscope/reweighting/attention_form.h"

namespace polariscope {

AttentionKind kind_of(std::string_view attention) {
  const AttentionForm& form = find_attention_form(attention);
  if (attention == "uniform") return AttentionKind::kUniform;
  if (is_signed(form)) return AttentionKind::kSigned;
  return form.normaliser == Normaliser::kSum ? AttentionKind::kNormalised : AttentionKind::kUnnormalised;
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

std::string colour_of(AttentionKind kind, std::string_view attention) {
  switch (kind) {
    case AttentionKind::kNormalised: return colour_of(attention == "softmax" ? attention : "relu/sum");
    case AttentionKind::kUnnormalised: return colour_of("sigmoid");
    case AttentionKind::kSigned: return colour_of("identity");
    case AttentionKind::kUniform: return colour_of("uniform");
  }
  return "";
}

}  // namespace polariscope
