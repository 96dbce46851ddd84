#include "polariscope/reweighting/reweighting.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/reweighting/row-inl.h"
#include "polariscope/reweighting/scalar_packet-inl.h"
#include "polariscope/reweighting/table-inl.h"

#include <array>
#include <cmath>

namespace polariscope::reweighting {
namespace {

// The baseline instruction set: this face is for tables, tests and diagnostics, not for speed.
using namespace HWY_NAMESPACE;  // NOLINT(google-build-using-namespace)

// What the double-precision face does with each row of the table.
struct Functions {
  double (*weight)(double z);
  double (*slope)(double z);
  void (*forward)(int tokens, const double* z, double* p);
  void (*vjp)(int tokens, const double* z, const double* upstream, double* dz);
};

template <class RowType>
constexpr Functions functions_of() {
  using Function = typename RowType::Function;
  using ScalarRow = Row<Function, RowType::kNormaliser, ScalarPacket>;
  return {
      [](double z) { return Function::weight(ScalarPacket{}, z); },
      [](double z) { return Function::slope(ScalarPacket{}, z, Function::weight(ScalarPacket{}, z)); },
      [](int tokens, const double* z, double* p) { ScalarRow::forward(ScalarPacket{}, tokens, z, p, p); },
      [](int tokens, const double* z, const double* upstream, double* dz) {
        std::vector<double> w(tokens), p(tokens);
        const auto scale = ScalarRow::forward(ScalarPacket{}, tokens, z, w.data(), p.data());
        ScalarRow::backward(ScalarPacket{}, tokens, z, w.data(), p.data(), scale, upstream, dz);
      },
  };
}

constexpr auto kRows = std::apply([](auto... row) { return std::array<Reweighting, sizeof...(row)>{row...}; }, kTable);
constexpr auto kFunctions = std::apply(
    [](auto... row) { return std::array<Functions, sizeof...(row)>{functions_of<decltype(row)>()...}; }, kTable);

const Functions& functions(const Reweighting& reweighting) { return kFunctions[reweighting_index(reweighting)]; }

}  // namespace

std::span<const Reweighting> reweightings() { return kRows; }

int reweighting_index(const Reweighting& reweighting) { return static_cast<int>(&reweighting - kRows.data()); }

const Reweighting& find_reweighting(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Reweighting& row : kRows) {
    if (row.name == name || (!row.alias.empty() && row.alias == name)) return row;
    known.push_back(row.name);
  }
  throw Error("{}", unknown_name("re-weighting", name, known));
}

double weight(const Reweighting& reweighting, double z) { return functions(reweighting).weight(z); }

double weight_slope(const Reweighting& reweighting, double z) { return functions(reweighting).slope(z); }

void reweight(const Reweighting& reweighting, std::span<const double> z, std::span<double> p) {
  functions(reweighting).forward(static_cast<int>(z.size()), z.data(), p.data());
}

void reweight_vjp(const Reweighting& reweighting, std::span<const double> z, std::span<const double> upstream,
                  std::span<double> dz) {
  functions(reweighting).vjp(static_cast<int>(z.size()), z.data(), upstream.data(), dz.data());
}

std::vector<std::vector<std::string>> reweighting_table() {
  const auto mark = [](bool holds) { return std::string(holds ? "yes" : "no"); };
  std::vector<std::vector<std::string>> table{{"name", "formula", "positive", "monotone", "f' > 0", "shift-invariant",
                                               "sums to one", "Lipschitz", "in the paper"}};
  for (const Reweighting& row : kRows) {
    table.push_back({std::string(row.name), std::string(row.formula), mark(row.positive), mark(row.monotone),
                     mark(row.strictly_rising), mark(row.shift_invariant), mark(row.sums_to_one),
                     std::isinf(row.lipschitz) ? "none" : fmt::format("{:g}", row.lipschitz), std::string(row.alias)});
  }
  return table;
}

}  // namespace polariscope::reweighting
