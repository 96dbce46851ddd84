#include "polariscope/reweighting/attention_form.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/reweighting/table-inl.h"

#include <algorithm>
#include <array>

namespace polariscope::reweighting {
namespace {

using namespace HWY_NAMESPACE;  // NOLINT(google-build-using-namespace): the types of the table's rows

// What attention adds to the rows of the vector table.
constexpr std::array kAttentionOnly{
    AttentionForm{.name = "elu1_kernel",
                  .formula = "φ(q)·φ(k), φ = elu + 1",
                  .alias = "linear_unnorm",
                  .feature = FeatureMap::kElu1,
                  .scaled = false,
                  .weight = WeightFunction::kIdentity,
                  .normaliser = Normaliser::kNone,
                  .colour = "indigo"},
    AttentionForm{.name = "elu1_kernel/sum",
                  .formula = "φ(q)·φ(k) / Σ φ(q)·φ(k), φ = elu + 1",
                  .alias = "linear",
                  .feature = FeatureMap::kElu1,
                  .scaled = false,
                  .weight = WeightFunction::kIdentity,
                  .colour = "indigo"},
    AttentionForm{.name = "relu_kernel/sum",
                  .formula = "φ(q)·φ(k) / Σ φ(q)·φ(k), φ = relu + 0.01",
                  .feature = FeatureMap::kRelu,
                  .feature_offset = 0.01,
                  .scaled = false,
                  .weight = WeightFunction::kIdentity,
                  .colour = "blue"},
    AttentionForm{.name = "mlp",
                  .formula = "z, of q and k that the model maps",
                  .alias = "mlp_unnorm",
                  .weight = WeightFunction::kIdentity,
                  .normaliser = Normaliser::kNone,
                  .maps_queries = true,
                  .colour = "taupe"},
    AttentionForm{.name = "mlp/max1",
                  .formula = "z / max(|Σ z|, 1), of q and k that the model maps",
                  .alias = "mlp_norm",
                  .weight = WeightFunction::kIdentity,
                  .normaliser = Normaliser::kMax1,
                  .maps_queries = true,
                  .colour = "taupe"},
    AttentionForm{.name = "sink",
                  .formula = "e^z / (e^s + Σ e^z), s learned",
                  .normaliser = Normaliser::kSumAndSink,
                  .learned_sink = true},
    AttentionForm{.name = "sigmoid_log",
                  .formula = "sigmoid(z - log M), M keys",
                  .transform = Transform::kMinusLogKeys,
                  .weight = WeightFunction::kSigmoid,
                  .normaliser = Normaliser::kNone},
    AttentionForm{.name = "relu/count",
                  .formula = "max(z, 0) / nᵅ, n visible keys, α = 1",
                  .weight = WeightFunction::kRelu,
                  .normaliser = Normaliser::kCount},
    AttentionForm{.name = "ssmax", .formula = "softmax(c z log n), n visible keys", .transform = Transform::kLogCount},
    AttentionForm{.name = "softcap",
                  .formula = "softmax(c tanh(z/c)), c = 50",
                  .transform = Transform::kSoftCap,
                  .transform_factor = 50.0},
    AttentionForm{.name = "clipped",
                  .formula = "clip((ζ - γ) softmax(z) + γ, 0, 1), γ = -0.03, ζ = 1.03",
                  .normaliser = Normaliser::kNone,
                  .rule = RowRule::kClippedSoftmax},
    AttentionForm{.name = "softpick",
                  .formula = "max(e^z - 1, 0) / (Σ |e^z - 1| + ε)",
                  .normaliser = Normaliser::kNone,
                  .rule = RowRule::kSoftpick},
    AttentionForm{.name = "sparsemax",
                  .formula = "max(z - τ, 0), τ so that Σ p = 1",
                  .normaliser = Normaliser::kNone,
                  .rule = RowRule::kSparsemax},
    AttentionForm{.name = "entmax",
                  .formula = "max((α - 1) z - τ, 0)^(1/(α - 1)), τ so that Σ p = 1, α = 1.5",
                  .normaliser = Normaliser::kNone,
                  .rule = RowRule::kEntmax},
};

// The polarisation paper's names of the vector table's rows (its Table 1).
constexpr std::string_view alias_of(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
      {"sigmoid/sum", "sigmoid_norm"},          {"sigmoid", "sigmoid_unnorm"},
      {"elu1/sum", "coupled_linear_norm"},      {"elu1", "coupled_linear_unnorm"},
      {"identity/max1", "raw_dotproduct_norm"}, {"identity", "raw_dotproduct_unnorm"},
  };
  for (const auto& [row, alias] : kAliases) {
    if (row == name) return alias;
  }
  return "";
}

constexpr auto kForms = std::apply(
    [](auto... row) {
      std::array<AttentionForm, sizeof...(row) + kAttentionOnly.size()> forms{
          AttentionForm{.name = row.name,
                        .formula = row.formula,
                        .alias = alias_of(row.name),
                        .weight = decltype(row)::Function::kFunction,
                        .normaliser = decltype(row)::kNormaliser,
                        .colour = row.colour}...};
      for (std::size_t i = 0; i < kAttentionOnly.size(); ++i) forms[sizeof...(row) + i] = kAttentionOnly[i];
      return forms;
    },
    kTable);

static_assert(std::ranges::all_of(kForms,
                                  [](const AttentionForm& form) {
                                    return !form.learned_sink || form.normaliser == Normaliser::kSumAndSink;
                                  }),
              "only a sink that is there can be learned");

void require(bool holds, const AttentionForm& form, std::string_view what, double found) {
  if (!holds) throw Error("attention {}: {}, found {}", form.name, what, found);
}

}  // namespace

std::span<const AttentionForm> attention_forms() { return kForms; }

const AttentionForm& find_attention_form(std::string_view name) {
  std::vector<std::string_view> known;
  for (const AttentionForm& form : kForms) {
    if (form.name == name || (!form.alias.empty() && form.alias == name)) return form;
    known.push_back(form.name);
  }
  throw Error("{}", unknown_name("attention", name, known));
}

// Comparisons are written so that NaN fails them.
void validate(const AttentionForm& form) {
  const bool capped = form.transform == Transform::kSoftCap;
  require(form.feature_offset >= 0.0, form, "the feature map's offset must be at least 0", form.feature_offset);
  require(!capped || form.transform_factor > 0.0, form, "the soft cap must be positive", form.transform_factor);
  require(form.sum_offset >= 0.0, form, "the sum's offset must be at least 0", form.sum_offset);
  require(form.count_power >= 0.0, form, "the power of the count must be at least 0", form.count_power);
  require(form.gamma <= 0.0, form, "gamma must be at most 0", form.gamma);
  require(form.zeta >= 1.0, form, "zeta must be at least 1", form.zeta);
  require(form.epsilon > 0.0, form, "epsilon must be positive", form.epsilon);
  require(form.alpha > 1.0, form, "alpha must be above 1 (softmax is the limit at 1)", form.alpha);
}

bool is_signed(const AttentionForm& form) {
  if (form.rule != RowRule::kElementwise) return false;
  return form.weight == WeightFunction::kIdentity && form.feature == FeatureMap::kNone;
}

bool has_sum_offset(const AttentionForm& form) {
  return form.rule == RowRule::kElementwise && form.normaliser == Normaliser::kSum &&
         form.weight != WeightFunction::kExp;
}

WeightKind kind_of(const AttentionForm& form) {
  switch (form.rule) {
    case RowRule::kElementwise: break;
    case RowRule::kClippedSoftmax:
    case RowRule::kSoftpick: return WeightKind::kUnnormalised;
    case RowRule::kSparsemax:
    case RowRule::kEntmax: return WeightKind::kNormalised;
  }
  if (form.weight == WeightFunction::kOne) return WeightKind::kUniform;
  if (is_signed(form)) return WeightKind::kSigned;
  return form.normaliser == Normaliser::kSum ? WeightKind::kNormalised : WeightKind::kUnnormalised;
}

std::string_view name_of(WeightKind kind) {
  switch (kind) {
    case WeightKind::kNormalised: return "normalised positive";
    case WeightKind::kUnnormalised: return "unnormalised positive";
    case WeightKind::kSigned: return "signed";
    case WeightKind::kUniform: return "uniform";
  }
  return "";
}

std::vector<std::vector<std::string>> attention_form_table() {
  std::vector<std::vector<std::string>> table{{"attention", "also", "weights p"}};
  for (const AttentionForm& form : kForms) {
    table.push_back({std::string(form.name), std::string(form.alias), std::string(form.formula)});
  }
  return table;
}

}  // namespace polariscope::reweighting
