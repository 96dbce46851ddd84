// What `polariscope audit` says of a model.
#pragma once

#include "polariscope/audit/audit.h"

#include <nlohmann/json.hpp>

#include <string>

namespace polariscope::cli {

// One JSON object for machines; numbers that are not finite are null.
nlohmann::ordered_json as_json(const models::Description& model, const audit::AuditResult& result);

// The same for a person, at most 100 columns: the model, the loss and the heads that look at least.
std::string in_words(const models::Description& model, const audit::AuditResult& result);

}  // namespace polariscope::cli
