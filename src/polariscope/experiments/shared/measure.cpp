#include "polariscope/experiments/shared/measure.h"

#include "polariscope/base/quantiles.h"
#include "polariscope/base/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace polariscope::experiments {

Spread spread_of(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (values.empty()) return {kNone, kNone, kNone, 0};
  std::sort(values.begin(), values.end());
  return {median_of_sorted(values), values.front(), values.back(), static_cast<long long>(values.size())};
}

bool all_within(const std::vector<double>& values, double most) {
  return std::ranges::all_of(values, [=](double value) { return value <= most; });
}

std::string in_words(const Spread& spread, std::string_view of, int digits, std::string_view unit) {
  if (spread.runs == 0) return fmt::format("no {}", of);
  const std::string median = significant(spread.median, digits) + (unit.empty() ? "" : " ") + std::string(unit);
  if (spread.runs == 1) return median;
  return fmt::format("{} ({} to {}, {} {})", median, significant(spread.low, digits), significant(spread.high, digits),
                     spread.runs, of);
}

report::Verdict judged(long long runs, long long fewest, bool holds) {
  if (runs < fewest) return report::Verdict::kInconclusive;
  return holds ? report::Verdict::kHolds : report::Verdict::kFails;
}

report::Claim claim(std::string id, std::string statement, std::string source, std::string criterion,
                    const Spread& measured, std::string_view of, bool holds, std::string evidence, long long fewest) {
  return claim_in_words(std::move(id), std::move(statement), std::move(source), std::move(criterion),
                        in_words(measured, of), measured, judged(measured.runs, fewest, holds), std::move(evidence));
}

report::Claim claim_of_count(std::string id, std::string statement, std::string source, std::string criterion,
                             long long count, long long runs, std::string_view of, bool holds, std::string evidence,
                             long long fewest) {
  const double fraction = static_cast<double>(count) / static_cast<double>(runs);
  return claim_in_words(std::move(id), std::move(statement), std::move(source), std::move(criterion),
                        fmt::format("{} of {} {}", count, runs, of), {fraction, fraction, fraction, runs},
                        judged(runs, fewest, holds), std::move(evidence));
}

report::Claim claim_in_words(std::string id, std::string statement, std::string source, std::string criterion,
                             std::string measured, const Spread& spread, report::Verdict verdict,
                             std::string evidence) {
  return {.id = std::move(id),
          .statement = std::move(statement),
          .source = std::move(source),
          .criterion = std::move(criterion),
          .measured = std::move(measured),
          .value = spread.median,
          .low = spread.low,
          .high = spread.high,
          .runs = spread.runs,
          .verdict = spread.runs == 0 ? report::Verdict::kInconclusive : verdict,
          .evidence = std::move(evidence)};
}

}  // namespace polariscope::experiments
