// The parts of an audit's page, each of one model but the last.
#pragma once

#include "polariscope/audit/report/audit_page.h"

#include <optional>

namespace polariscope::audit {

report::Section head_section(const AuditRecord& record);                        // "heads"
report::Section layer_section(const AuditRecord& record);                       // "layers"
std::optional<report::Section> picture_section(const AuditedModel& model);      // "attention"
std::optional<report::Section> cost_section(const AuditRecord& record);         // "costs"
std::optional<report::Section> first_token_section(const AuditRecord& record);  // "first-tokens"
std::optional<report::Section> what_if_section(const AuditRecord& record);      // "what-if"
report::Section comparison_section(std::span<const AuditedModel> models);       // "models"

}  // namespace polariscope::audit
