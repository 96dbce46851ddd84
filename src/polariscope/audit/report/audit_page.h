// An audit as one HTML page: verdicts, maps of layers and heads, tables to be sorted; two or more models side by side.
#pragma once

#include "polariscope/audit/attention_pictures.h"
#include "polariscope/audit/record.h"
#include "polariscope/report/page.h"

#include <span>
#include <string>
#include <vector>

namespace polariscope::audit {

struct AuditedModel {
  AuditRecord record;
  std::string label = {};  // on the page; audit_page() gives one that no other has to those without
  std::vector<AttentionPicture> pictures = {};
  std::vector<std::string> picture_tokens = {};  // texts of the tokens on their axes
};

// Sections, figures and remarks; title, command, date and machine are the caller's. One model at least.
report::Page audit_page(std::span<const AuditedModel> models);

// The number that ends a checkpoint's name, "run/step-2000" and "checkpoint-500/": where all models have one and all
// differ they are a series. Empty where they are none.
std::vector<double> steps_of(std::span<const AuditedModel> models);

}  // namespace polariscope::audit
