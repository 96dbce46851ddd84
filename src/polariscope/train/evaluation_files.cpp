#include "polariscope/train/evaluation_files.h"

#include "polariscope/base/npy.h"
#include "polariscope/metrics/sink_score.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

namespace polariscope::train {
namespace {

nlohmann::json finite_or_null(double number) {
  return std::isfinite(number) ? nlohmann::json(number) : nlohmann::json(nullptr);
}

constexpr std::array kHeadNumbers{std::pair{"entropy", &HeadEvaluation::entropy},
                                  std::pair{"relative_entropy", &HeadEvaluation::relative_entropy},
                                  std::pair{"frobenius_norm", &HeadEvaluation::frobenius_norm},
                                  std::pair{"row_sum", &HeadEvaluation::row_sum},
                                  std::pair{"sparsity", &HeadEvaluation::sparsity},
                                  std::pair{"maximum", &HeadEvaluation::maximum},
                                  std::pair{"first_token_share", &HeadEvaluation::first_token_share},
                                  std::pair{"first_token_ratio", &HeadEvaluation::first_token_ratio},
                                  std::pair{"importance", &HeadEvaluation::importance},
                                  std::pair{"sink_rate", &HeadEvaluation::sinks},
                                  std::pair{"flip_rate", &HeadEvaluation::flips}};

}  // namespace

std::string heads_json(const Evaluation& evaluation) {
  nlohmann::json heads = nlohmann::json::array();
  for (const HeadEvaluation& head : evaluation.heads) {
    nlohmann::json one{{"layer", head.layer + 1}, {"head", head.head + 1}};
    for (const auto& [name, member] : kHeadNumbers) {
      if ((head.*member).count() == 0) continue;
      one[name] = finite_or_null((head.*member).value());
      one[std::string(name) + "_deviation"] = finite_or_null((head.*member).standard_deviation());
    }
    one["sink_score"] = finite_or_null(metrics::sink_score(head.first_token_share));
    heads.push_back(std::move(one));
  }
  return heads.dump(1) + "\n";
}

std::string maps_npy(const Evaluation& evaluation) {
  std::vector<NpyField> fields;
  for (const HeadEvaluation& head : evaluation.heads) {
    fields.push_back({.name = fmt::format("layer{}_head{}", head.layer + 1, head.head + 1),
                      .width = static_cast<std::size_t>(evaluation.length),
                      .values = head.map});
  }
  return npy_records(static_cast<std::size_t>(evaluation.length), fields);
}

void add_numbers(const Evaluation& evaluation, std::int64_t layer, nlohmann::ordered_json& result) {
  double heads = 0.0, sinks = 0.0, ratio_sinks = 0.0, flips = 0.0;
  metrics::Mean score, entropy, relative, frobenius, sparsity, row_sum, importance;
  bool any_flips = false;
  for (const HeadEvaluation& head : evaluation.heads) {
    if (head.flips.count() > 0) {
      any_flips = true;
      flips = std::max(flips, head.flips.value());
    }
    if (head.layer != layer) continue;
    const double of_head = metrics::sink_score(head.first_token_share);
    score.add(of_head);
    heads += 1.0;
    sinks += of_head > metrics::kSinkScoreThreshold ? 1.0 : 0.0;
    ratio_sinks += head.first_token_ratio.value() > metrics::kSinkScoreThreshold ? 1.0 : 0.0;
    entropy.add(head.entropy.value());
    relative.add(head.relative_entropy.value());
    frobenius.add(head.frobenius_norm.value());
    sparsity.add(head.sparsity.value());
    row_sum.add(head.row_sum.value());
    importance.add(head.importance.value());
  }
  result["loss"] = evaluation.loss;
  result["accuracy"] = evaluation.accuracy;
  result["sink_fraction"] = sinks / heads;
  result["sink_fraction_public_code"] = ratio_sinks / heads;
  const auto put = [&](const char* name, const metrics::Mean& mean) {
    if (mean.count() > 0) result[name] = mean.value();
  };
  put("sink_score", score);
  put("importance", importance);
  put("entropy", entropy);
  put("relative_entropy", relative);
  put("frobenius_norm", frobenius);
  put("sparsity", sparsity);
  put("row_sum", row_sum);
  if (any_flips) result["flip_rate"] = flips;
}

}  // namespace polariscope::train
