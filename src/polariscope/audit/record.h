// One audit as a value: which model, what its numbers depend on, what was found. Written as audit.json and read again;
// the fields are in docs/audit.md.
#pragma once

#include "polariscope/audit/audit.h"
#include "polariscope/audit/head_scores.h"
#include "polariscope/audit/interventions.h"
#include "polariscope/audit/variations.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::audit {

// Of token ids that were given as such there is nothing to say.
struct AuditedText {
  std::string name = {};
  std::int64_t left_out = 0;                                     // tokens cut off
  std::vector<std::pair<std::int32_t, std::string>> first = {};  // tokens with their texts
  std::map<std::int64_t, std::string> tokens = {};               // texts of those that the result names, by place
};

struct AuditRecord {
  std::string model;  // as it was named; "example" for our own
  std::string architecture;
  bool causal = true;
  std::int64_t vocabulary = 0, width = 0;
  std::int64_t context = 0;                // tokens that the model was made for; 0: not said
  std::vector<std::int64_t> windows = {};  // of the layers; 0: none
  std::string precision = {};              // "float32"
  std::string tokenizer = {};              // as it describes itself; "" where ids were given
  std::int64_t given_texts = 0;            // of which an interrupted audit finished fewer
  std::vector<AuditedText> texts = {};
  AuditResult result = {};

  // What takes passes of its own, where it was asked for.
  std::optional<InterventionCosts> costs = {};
  std::vector<std::vector<HeadScores>> scores = {};       // [layers][heads]
  std::vector<std::vector<double>> query_key_norms = {};  // [layers][heads]
  std::vector<Variation> first_tokens = {}, what_if = {};
};

// Texts of the tokens that sinks and large activations name. `text_of`: of a place in a text.
template <class TextOf>
void name_tokens(AuditRecord& record, const TextOf& text_of) {
  const auto name = [&](std::int64_t text, std::int64_t token) {
    record.texts[text].tokens.try_emplace(token, text_of(text, token));
  };
  for (const LayerResult& layer : record.result.layers) {
    for (const LargeActivation& large : layer.largest) name(large.text, large.token);
    for (const HeadResult& head : layer.heads) {
      for (const SinkKey& key : head.sinks) name(key.text, key.token);
    }
  }
}

// For titles and legends: the last part of a path.
std::string short_name(const AuditRecord& record);

// "\"the\" (token 17 of text 2)", without the text where it is not known.
std::string token_in_words(const AuditRecord& record, std::int64_t text, std::int64_t token);

constexpr int kRecordVersion = 1;
// Numbers that are not finite are null.
nlohmann::ordered_json as_json(const AuditRecord& record);
// A file, or a folder with audit.json. Throws Error for what is no audit of this version.
AuditRecord read_record(const std::filesystem::path& path);

}  // namespace polariscope::audit
