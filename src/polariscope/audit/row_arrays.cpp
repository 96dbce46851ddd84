#include "polariscope/audit/row_arrays.h"

#include "polariscope/base/memory.h"
#include "polariscope/base/safetensors.h"

#include <fmt/format.h>

#include <limits>
#include <span>

namespace polariscope::audit {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

}  // namespace

RowArrays::RowArrays(std::int64_t of_texts, std::int64_t of_layers, std::int64_t of_heads, std::int64_t of_tokens,
                     std::int64_t of_vocabulary)
    : texts(of_texts), layers(of_layers), heads(of_heads), tokens(of_tokens), vocabulary(of_vocabulary) {
  const auto count = [](auto... sizes) { return (1.0 * ... * static_cast<double>(sizes)); };
  const double numbers = 3.0 * count(texts, layers, heads, tokens) + count(texts, layers + 1, tokens) +
                         count(texts, vocabulary) + count(texts);
  require_memory(8.0 * numbers, fmt::format("arrays of the rows of {} texts of up to {} tokens", texts, tokens));
  for (auto* array : {&entropy, &first_key, &maximum}) array->assign(texts * layers * heads * tokens, kNone);
  hidden_norm.assign(texts * (layers + 1) * tokens, kNone);
  logits_last.assign(texts * vocabulary, kNone);
  nll.assign(texts, kNone);
}

void write_row_arrays(const RowArrays& arrays, const std::filesystem::path& path,
                      const std::map<std::string, std::string>& metadata) {
  const RowArrays& a = arrays;
  std::vector<StoredTensor> tensors;
  const auto add = [&](std::string name, const std::vector<double>& numbers, std::vector<std::int64_t> shape) {
    tensors.push_back({std::move(name), Dtype::kF64, std::move(shape), std::as_bytes(std::span(numbers))});
  };
  const std::vector<std::int64_t> rows{a.texts, a.layers, a.heads, a.tokens};
  add("entropy", a.entropy, rows);
  add("first_key", a.first_key, rows);
  add("maximum", a.maximum, rows);
  add("hidden_norm", a.hidden_norm, {a.texts, a.layers + 1, a.tokens});
  if (a.vocabulary > 0) {
    add("logits_last", a.logits_last, {a.texts, a.vocabulary});
    add("nll", a.nll, {a.texts});
  }
  write_safetensors(path, tensors, metadata);
}

}  // namespace polariscope::audit
