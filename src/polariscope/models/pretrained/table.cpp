#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/models/pretrained/architecture_row.h"
#include "polariscope/models/pretrained/own_attention.h"
#include "polariscope/models/pretrained/rows/all.h"

#include <algorithm>

namespace polariscope::models {
namespace {

using Rows = std::vector<PretrainedRow>;

Rows sorted(std::initializer_list<Rows> parts) {
  Rows all;
  for (const Rows& part : parts) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end(), [](const auto& left, const auto& right) { return left.name < right.name; });
  return all;
}

const PretrainedRow& find(const Rows& rows, std::string_view kind, std::string_view name) {
  for (const PretrainedRow& row : rows) {
    if (row.name == name) return row;
  }
  std::vector<std::string_view> known;
  for (const PretrainedRow& row : rows) known.push_back(row.name);
  throw Error("{}", unknown_name(kind, name, known));
}

const Rows& all_rows() {
  static const Rows kRows =
      sorted({rows::bert_rows(),       rows::bloom_rows(),   rows::cohere_rows(), rows::deepseek_rows(),
              rows::distilbert_rows(), rows::falcon_rows(),  rows::gemma_rows(),  rows::gpt2_rows(),
              rows::gpt_neox_rows(),   rows::gpt_oss_rows(), rows::gptj_rows(),   rows::hybrid_norm_rows(),
              rows::llama_rows(),      rows::mixtral_rows(), rows::mpt_rows(),    rows::olmo2_rows(),
              rows::opt_rows(),        rows::phi3_rows(),    rows::qwen_rows(),   rows::stablelm_rows(),
              rows::starcoder2_rows()});
  return kRows;
}

const Rows& all_gguf_rows() {
  static const Rows kRows = sorted({rows::gguf_llama_rows(), rows::gguf_gpt_rows(), rows::gguf_gemma_rows()});
  return kRows;
}

}  // namespace

std::span<const PretrainedRow> pretrained_rows() { return all_rows(); }

std::span<const PretrainedRow> gguf_rows() { return all_gguf_rows(); }

const PretrainedRow& find_pretrained_row(std::string_view model_type) {
  if (model_type.starts_with(kOwnModelPrefix)) model_type.remove_prefix(kOwnModelPrefix.size());
  return find(all_rows(), "architecture", model_type);
}

const PretrainedRow& find_gguf_row(std::string_view architecture) {
  return find(all_gguf_rows(), "GGUF architecture", architecture);
}

}  // namespace polariscope::models
