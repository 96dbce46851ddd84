// The files of rows/: each gives one row, or a few that are kin.
#pragma once

#include "polariscope/models/pretrained/architecture_row.h"

#include <vector>

namespace polariscope::models::rows {

std::vector<PretrainedRow> bert_rows();
std::vector<PretrainedRow> bloom_rows();
std::vector<PretrainedRow> cohere_rows();
std::vector<PretrainedRow> deepseek_rows();
std::vector<PretrainedRow> distilbert_rows();
std::vector<PretrainedRow> falcon_rows();
std::vector<PretrainedRow> gemma_rows();
std::vector<PretrainedRow> gguf_gemma_rows();
std::vector<PretrainedRow> gguf_gpt_rows();
std::vector<PretrainedRow> gguf_llama_rows();
std::vector<PretrainedRow> gpt2_rows();
std::vector<PretrainedRow> gpt_neox_rows();
std::vector<PretrainedRow> gpt_oss_rows();
std::vector<PretrainedRow> gptj_rows();
std::vector<PretrainedRow> hybrid_norm_rows();
std::vector<PretrainedRow> llama_rows();
std::vector<PretrainedRow> mixtral_rows();
std::vector<PretrainedRow> mpt_rows();
std::vector<PretrainedRow> olmo2_rows();
std::vector<PretrainedRow> opt_rows();
std::vector<PretrainedRow> phi3_rows();
std::vector<PretrainedRow> qwen_rows();
std::vector<PretrainedRow> stablelm_rows();
std::vector<PretrainedRow> starcoder2_rows();

}  // namespace polariscope::models::rows
