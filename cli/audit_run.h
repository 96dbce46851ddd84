// One model of `polariscope audit`: its texts read, the audit run, and what was asked for beside it.
#pragma once

#include "polariscope/audit/report/audit_page.h"

#include <functional>
#include <string>
#include <vector>

namespace polariscope::cli {

struct AuditSettings {
  std::vector<std::string> models, fail_on;
  std::string text, tokenizer, ids, arrays, out, config, baseline, costs, what_if, memory, precision = "float32";
  double documents = 1000, context = 0, threads = 0;
  bool example = false, thorough = false, scores = false, first_tokens = false, json = false, quiet = false;
};

// Throws Error for settings that do not fit each other, before any work.
void check(const AuditSettings& settings);

// Opens `model`, one of the settings', and reads its texts, so that what is wrong with them is known before any work.
// What is returned runs the audit, once, and writes --arrays; an interrupted one holds what was done.
std::function<audit::AuditedModel()> prepared(const AuditSettings& settings, const std::string& model);

}  // namespace polariscope::cli
