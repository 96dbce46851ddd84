// What a language model is made of before it has numbers: its description, its parameters, and where a published
// model's files would have them. The same table of architectures as the audit's (models/pretrained/) is read for it.
#pragma once

#include "polariscope/models/pretrained/description.h"
#include "polariscope/models/pretrained/own_attention.h"
#include "polariscope/models/pretrained/parameters.h"
#include "polariscope/models/pretrained/sources.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace polariscope::models::language {

struct Blueprint {
  nlohmann::ordered_json config = {};  // as of a published model: "model_type" and its keys; null of a GGUF file
  Description description = {};
  std::map<std::string, std::vector<std::int64_t>, std::less<>> shapes = {};  // of its parameters, by name
  Sources sources = {};
};

// Of a published model's config, or of one made here, with what `attention` changes. `where` begins the sentences of
// errors. Throws Error as models::read_plan() does, and for a model that predicts no next tokens.
Blueprint blueprint_of(const nlohmann::ordered_json& config, const std::string& where,
                       const OwnAttention& attention = {});

// Of a model in safetensors or GGUF, whose numbers are read from there.
Blueprint blueprint_of(const PretrainedModel& model, const OwnAttention& attention = {});

}  // namespace polariscope::models::language
