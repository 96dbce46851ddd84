// The numbers that a form of attention can be given, by name.
#pragma once

#include "polariscope/reweighting/attention_form.h"

#include <span>
#include <string_view>

namespace polariscope::reweighting {

struct AttentionParameter {
  std::string_view name;  // of its member
  double AttentionForm::*member;
  bool (*belongs_to)(const AttentionForm&);
};

std::span<const AttentionParameter> attention_parameters();

// Throws Error for a name that is not known, or that the form has not. Ranges are for validate() to check.
void set_parameter(AttentionForm& form, std::string_view name, double value);

}  // namespace polariscope::reweighting
