// From many runs to one line of a claim.
#pragma once

#include "polariscope/report/claim.h"

#include <string>
#include <string_view>
#include <vector>

namespace polariscope::experiments {

// Median and range of one figure over runs. Non-finite values are left out and not counted.
struct Spread {
  double median, low, high;
  long long runs;
};
Spread spread_of(std::vector<double> values);

// Whether no value is above `most`, nor no number: what a spread leaves out does not pass here.
bool all_within(const std::vector<double>& values, double most);

// "0.975 (0.962 to 0.981, 5 seeds)", with a unit "0.975 nats (0.962 to …"; one run: "0.975". `of`: what a run is, in
// the plural.
std::string in_words(const Spread& spread, std::string_view of, int digits = 3, std::string_view unit = "");

// The verdict on what was measured on `runs` runs: inconclusive, whatever `holds` says, under `fewest` of them.
report::Verdict judged(long long runs, long long fewest, bool holds);

// A claim with its measured figure. Inconclusive without a single run, as all below; or under `fewest`.
report::Claim claim(std::string id, std::string statement, std::string source, std::string criterion,
                    const Spread& measured, std::string_view of, bool holds, std::string evidence,
                    long long fewest = 1);

// A claim about how many of the runs have a property: "5 of 5 seeds"; its figure is their fraction.
report::Claim claim_of_count(std::string id, std::string statement, std::string source, std::string criterion,
                             long long count, long long runs, std::string_view of, bool holds, std::string evidence,
                             long long fewest = 1);

// A claim with the measured figure in the experiment's own words.
report::Claim claim_in_words(std::string id, std::string statement, std::string source, std::string criterion,
                             std::string measured, const Spread& spread, report::Verdict verdict, std::string evidence);

}  // namespace polariscope::experiments
