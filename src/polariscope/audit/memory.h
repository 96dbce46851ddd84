// What an audit holds at once, beside the model's file: that is mapped, and the system may take its pages back.
#pragma once

#include "polariscope/audit/audit.h"

#include <cstdint>

namespace polariscope::audit {

// Bytes of a pass over `rows` tokens together, of which the longest text has `longest`: activations, the weights of
// one layer laid out for products, what is measured of rows, and a part of the vocabulary. An estimate from above.
double pass_bytes(const models::Description& model, std::int64_t rows, std::int64_t longest,
                  const AuditOptions& options);

// How many tokens go through the model together under AuditOptions::memory: kBatchTokens at most, one text at least.
// Throws Error where the longest text needs more, with the tokens that do not; and where there is less in the machine.
std::int64_t batch_tokens(const models::Description& model, Texts texts, const AuditOptions& options);

}  // namespace polariscope::audit
