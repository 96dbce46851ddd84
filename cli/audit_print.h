// What `polariscope audit` says of a model.
#pragma once

#include "polariscope/audit/audit.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::cli {

// What the numbers depend on beside the model; of token ids that were given as such there is nothing to say.
struct AuditedText {
  std::string name = {};
  std::int64_t left_out = 0;                                     // tokens cut off
  std::vector<std::pair<std::int32_t, std::string>> first = {};  // tokens with their texts
};
struct AuditedTexts {
  std::vector<AuditedText> texts = {};
  std::string tokenizer = {};
};

// One JSON object for machines; numbers that are not finite are null.
nlohmann::ordered_json as_json(const models::Description& model, const audit::AuditResult& result,
                               const AuditedTexts& texts);

// The same for a person, at most 100 columns: the model, the loss and the heads that look at least.
std::string in_words(const models::Description& model, const audit::AuditResult& result, const AuditedTexts& texts);

}  // namespace polariscope::cli
