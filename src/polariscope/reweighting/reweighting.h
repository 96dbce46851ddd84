// The table of re-weighting functions: the only place that knows their names, formulas and properties.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::reweighting {

enum class WeightFunction { kExp, kSigmoid, kRelu, kElu1, kIdentity, kAbs, kSquare, kOne };

enum class Normaliser {
  kNone,        // p = w
  kSum,         // p = w / Σw; a row with |Σw| < 2^-1022 has p = 0
  kSumAndSink,  // p = w / (Σw + f(s)): attention may go to nothing; s = 0, or learned (attention_form.h)
  kMax1,        // p = w / max(|Σw|, 1)
  kCount,       // p = w / nᵅ, n visible keys: of attention_form.h alone
};

struct Reweighting {
  std::string_view name;  // "elu1/sum": function, slash, normaliser
  std::string_view formula;
  // Properties of z -> p, each checked on random inputs by the conformance tests.
  bool positive;            // every weight >= 0
  bool monotone;            // f never decreases
  bool strictly_rising;     // f' > 0 everywhere
  bool shift_invariant;     // p(z + c) = p(z)
  bool sums_to_one;         // Σp = 1 wherever Σw != 0
  bool smooth;              // continuously differentiable wherever Σw != 0
  double lipschitz;         // smallest known L with |p(z) - p(z')|_2 <= L |z - z'|_2; infinity where none is finite
  std::string_view alias;   // the polarisation paper's name in figure 13, "" where it is the same
  std::string_view colour;  // in figures, by its name in report/colours.h
};

std::span<const Reweighting> reweightings();

// Position of a row of the table within it.
int reweighting_index(const Reweighting& reweighting);

// By name or alias; throws Error with the nearest known name.
const Reweighting& find_reweighting(std::string_view name);

// f(z) and f'(z) of one score, without shift or normaliser.
double weight(const Reweighting& reweighting, double z);
double weight_slope(const Reweighting& reweighting, double z);

// One row in double precision. z, p: [tokens], tokens >= 1.
void reweight(const Reweighting& reweighting, std::span<const double> z, std::span<double> p);

// Vector-Jacobian product: dz = (∂p/∂z)ᵀ upstream. All [tokens].
void reweight_vjp(const Reweighting& reweighting, std::span<const double> z, std::span<const double> upstream,
                  std::span<double> dz);

// The table for people, heading first: name, formula, then one column a property.
std::vector<std::vector<std::string>> reweighting_table();

}  // namespace polariscope::reweighting
