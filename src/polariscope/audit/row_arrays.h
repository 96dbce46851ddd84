// What was measured row by row, for those who go on in a notebook.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace polariscope::audit {

// NaN where a text has no such token or a layer no such head.
struct RowArrays {
  RowArrays(std::int64_t texts, std::int64_t layers, std::int64_t heads, std::int64_t tokens, std::int64_t vocabulary);

  std::int64_t of_row(std::int64_t text, std::int64_t layer, std::int64_t head) const {
    return ((text * layers + layer) * heads + head) * tokens;
  }
  std::int64_t of_hidden(std::int64_t text, std::int64_t layer) const { return (text * (layers + 1) + layer) * tokens; }

  std::int64_t texts, layers, heads, tokens, vocabulary;
  std::vector<double> entropy, first_key, maximum;  // [texts, layers, heads, tokens]
  std::vector<double> hidden_norm;  // [texts, layers + 1, tokens]: what the embedding gives, then each layer's output,
                                    // the last after the final norm where there is one
  std::vector<double> logits_last;  // [texts, vocabulary]
  std::vector<double> nll;          // [texts], of the tokens predicted
};

// safetensors of the names above, float64; what a model has none of (vocabulary 0: no head) is left out.
void write_row_arrays(const RowArrays& arrays, const std::filesystem::path& path,
                      const std::map<std::string, std::string>& metadata);

}  // namespace polariscope::audit
