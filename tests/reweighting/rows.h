// What the tests of the table share: a name for each row that GoogleTest accepts, and random scores.
#pragma once

#include "polariscope/base/random.h"
#include "polariscope/reweighting/reweighting.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

namespace polariscope {

// How GoogleTest prints a row.
inline void PrintTo(const reweighting::Reweighting& row, std::ostream* out) { *out << row.name; }

namespace testing {

using Vector = std::vector<double>;

// A test that is run for every row of the table.
class EveryRow : public ::testing::TestWithParam<reweighting::Reweighting> {
 protected:
  // The row of the table itself: its place in memory is its index.
  static const reweighting::Reweighting& row() { return reweighting::find_reweighting(GetParam().name); }
  // Σp is 1, or 1 with a sink: some NaN anywhere must reach every token.
  static bool normalised() { return row().sums_to_one || row().name == "softmax1" || row().name == "identity/max1"; }
};

inline std::string row_name(const ::testing::TestParamInfo<reweighting::Reweighting>& info) {
  std::string name(info.param.name);
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

inline Vector normal(RandomStream& random, int tokens, double scale) {
  Vector z(tokens);
  random.fill_normal(z, scale);
  return z;
}

inline Vector reweighted(const reweighting::Reweighting& row, const Vector& z) {
  Vector p(z.size());
  reweighting::reweight(row, z, p);
  return p;
}

inline double sum(const Vector& x) { return std::accumulate(x.begin(), x.end(), 0.0); }

}  // namespace testing
}  // namespace polariscope
