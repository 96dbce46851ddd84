// What `polariscope audit` says in the terminal, at most 100 columns.
#pragma once

#include "polariscope/audit/record.h"

#include <string>

namespace polariscope::cli {

// The model, the loss, verdicts, and the heads that look at least.
std::string in_words(const audit::AuditRecord& record);

// The summaries side by side, and the heads that changed most where both have the same.
std::string compared(const audit::AuditRecord& record, const audit::AuditRecord& baseline);

}  // namespace polariscope::cli
