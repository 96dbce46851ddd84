// An audit as a few named numbers: what two models are compared by and what a pipeline sets limits on.
#pragma once

#include "polariscope/audit/audit.h"

#include <span>
#include <string>
#include <string_view>

namespace polariscope::audit {

struct Scalar {
  std::string_view name, definition;
  double (*of)(const AuditResult& result);  // NaN where there is none
};

// All of them, in the order in which they are shown.
std::span<const Scalar> summary_scalars();
// Throws Error with the nearest known names.
const Scalar& find_scalar(std::string_view name);

// A head is a sink where its rows give the first key that they see, on average, more than kSinkShare and more
// than twice what equal weights would: mass of flat rows is none.
bool is_sink(const HeadResult& head);
// A head has collapsed where its rows have, on average, less than a tenth of the entropy that they could have.
bool is_collapsed(const HeadResult& head);
constexpr double kCollapsedEntropy = 0.1;

// What a pipeline does not accept: "sink_heads>0.3"; with a baseline also "change_in_loss>0.05", what it is more now.
struct Limit {
  const Scalar* scalar;
  bool of_change;
  std::string comparison;  // ">", ">=", "<", "<="
  double bound;
};
// Throws Error for another form and for an unknown name.
Limit parsed_limit(std::string_view text);
// One sentence where the limit is passed or there is no such number; "" where all is well. baseline: null where there
// is none, which a limit of change needs.
std::string complaint(const Limit& limit, const AuditResult& result, const AuditResult* baseline);

}  // namespace polariscope::audit
