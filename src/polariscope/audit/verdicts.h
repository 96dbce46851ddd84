// What an audit found, in sentences, each with the threshold that it is judged by and where that is from.
#pragma once

#include "polariscope/audit/record.h"
#include "polariscope/report/page.h"

#include <vector>

namespace polariscope::audit {

// A head is nearly uniform above this share of the entropy that its rows could have.
constexpr double kFlatEntropy = 0.9;
// Logits from here on are apart by half a nat or more in bfloat16, whose numbers have 8 bits.
constexpr double kCoarseLogit = 64.0;
// A head whose rows of repeated tokens give so much to the key after the same token's first place is one of induction.
constexpr double kInductionScore = 0.3;

// Those worth notice first. Their evidence is "section/figure" of audit_page().
std::vector<report::Remark> verdicts(const AuditRecord& record);

}  // namespace polariscope::audit
