#include "audit_run.h"

#include "polariscope/audit/audit.h"
#include "polariscope/audit/documents.h"
#include "polariscope/audit/weight_norms.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/progress.h"
#include "polariscope/tasks/text/tokenizer.h"
#include "settings.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

namespace polariscope::cli {
namespace {

using Ids = std::vector<std::vector<std::int32_t>>;

// A list of lists of token ids.
Ids read_ids(const std::string& path) {
  const nlohmann::json lists = nlohmann::json::parse(read_file(path), nullptr, false);
  if (!lists.is_array()) throw Error("{}: expected JSON, a list of lists of token ids", path);
  Ids texts;
  for (const nlohmann::json& list : lists) {
    if (!list.is_array())
      throw Error("{}: text {} is no list: expected a list of lists of token ids", path, texts.size());
    std::vector<std::int32_t>& text = texts.emplace_back();
    for (const nlohmann::json& id : list) {
      const bool fits = id.is_number_integer() && id >= 0 && id <= std::numeric_limits<std::int32_t>::max();
      if (!fits) {
        throw Error("{}: token {} of text {} is {}: expected a whole number from 0 on", path, text.size(),
                    texts.size() - 1, id.is_structured() ? id.type_name() : id.dump().substr(0, 40));
      }
      text.push_back(id.get<std::int32_t>());
    }
  }
  return texts;
}

audit::Precision precision_named(const std::string& name) {
  if (name == "float32") return audit::Precision::kFloat32;
  if (name == "bfloat16") return audit::Precision::kBfloat16;
  if (name == "float64") return audit::Precision::kFloat64;
  throw Error("--precision is \"{}\": it must be float32, bfloat16 or float64", name);
}

std::int64_t memory_of(const AuditSettings& settings) {
  return settings.memory.empty() ? 0 : of_option("--memory", [&] { return bytes_in(settings.memory); });
}

std::vector<std::string> variations_of(const std::string& list) {
  std::vector<std::string> variations;
  std::istringstream stream(list);
  for (std::string one; std::getline(stream, one, ',');) {
    const std::size_t first = one.find_first_not_of(' ');
    if (first == one.npos) throw Error("--what-if is \"{}\": there is nothing between two commas of it", list);
    variations.push_back(one.substr(first, one.find_last_not_of(' ') + 1 - first));
  }
  if (list.ends_with(',')) throw Error("--what-if is \"{}\": there is nothing after its last comma", list);
  return variations;
}

// Tokens of a text where --context says nothing: as many as the model was made for, but attention over more takes long.
constexpr std::int64_t kMostContext = 4096;

std::int64_t made_for(const models::Description& model) {
  return model.learned_positions > 0 ? model.learned_positions - model.position_offset : model.context;
}

std::int64_t context_of(const AuditSettings& settings, const models::Description& model) {
  const long long context = whole_number("--context", settings.context, 0);
  if (context > 0) return context;
  return made_for(model) > 0 ? std::min(made_for(model), kMostContext) : kMostContext;
}

// What takes a pass a layer or a head goes over the first of the texts, cut.
constexpr std::size_t kTrialTexts = 8;
constexpr std::int64_t kTrialTokens = 512;

class ModelRun {
 public:
  ModelRun(const AuditSettings& settings, const std::string& name)
      : settings_(settings),
        model_(checkpoints::Checkpoint(name)),
        threads_(static_cast<int>(whole_number("--threads", settings.threads, 0, 1024))),
        board_(settings.quiet || settings.json ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto) {
    audit::AuditRecord& record = made_.record;
    const models::Description& description = model_.description();
    record.model = settings.example ? "example" : name;
    record.architecture = description.architecture;
    record.causal = description.causal;
    record.vocabulary = description.vocabulary;
    record.width = description.width;
    record.precision = settings.precision;
    record.context = made_for(description);
    for (const models::LayerDescription& layer : description.layers) {
      record.windows.push_back(layer.attention.window.value_or(0));
    }
    if (!description.has_head && (!settings.costs.empty() || settings.first_tokens)) {
      throw Error("{} has no head that predicts tokens, so that nothing has a cost in loss: leave out {}", name,
                  settings.costs.empty() ? "--first-tokens" : "--costs");
    }
    if (settings.first_tokens) require_first_tokens();
    for (const std::string& variation : variations_of(settings.what_if)) {
      of_option("--what-if", [&] { return audit::varied(description, variation); });
    }
    read_texts();
    record.given_texts = std::ssize(ids_);
  }

  audit::AuditedModel run() {
    try {
      made_.record.result = audit::audit(model_.description(), model_, ids_, options_for("audit"));
      progress_.finish();
      if (made_.record.result.arrays) {
        write_row_arrays(*made_.record.result.arrays, settings_.arrays,
                         {{"model", made_.record.model}, {"precision", settings_.precision}});
      }
      name_places();
      if (!made_.record.result.interrupted) run_trials();
    } catch (const Interrupted&) {
      made_.record.result.interrupted = true;
    }
    return std::move(made_);
  }

 private:
  void read_texts() {
    audit::AuditRecord& record = made_.record;
    if (!settings_.ids.empty()) {
      ids_ = read_ids(settings_.ids);
      record.texts.resize(ids_.size());
      for (std::size_t t = 0; settings_.context > 0 && t < ids_.size(); ++t) {
        const auto kept = std::min<std::int64_t>(std::ssize(ids_[t]), context_of(settings_, model_.description()));
        record.texts[t].left_out = std::ssize(ids_[t]) - kept;
        ids_[t].resize(kept);
      }
      return;
    }
    documents_ = audit::read_documents(settings_.text, whole_number("--documents", settings_.documents, 1));
    tokenizer_.emplace(audit::tokenizer_of(model_.checkpoint(), settings_.tokenizer));
    record.tokenizer = tokenizer_->describe();
    for (audit::TokenizedDocument& document :
         audit::tokenized(documents_, *tokenizer_, tasks::text::SpecialTokens::kAdded,
                          context_of(settings_, model_.description()))) {
      constexpr std::size_t kFirst = 8;
      audit::AuditedText& text =
          record.texts.emplace_back(audit::AuditedText{document.name, document.left_out, {}, {}});
      for (std::size_t i = 0; i < std::min(kFirst, document.ids.size()); ++i) {
        text.first.emplace_back(document.ids[i], tokenizer_->text_of(document.ids[i]));
      }
      ids_.push_back(std::move(document.ids));
    }
  }

  // Progress of the step that begins.
  std::function<void(double)> progress_of(const char* step) {
    constexpr double kTicks = 1000.0;
    progress_ = board_.start(step, static_cast<std::uint64_t>(kTicks), "");
    return [this](double share) { progress_.update(static_cast<std::uint64_t>(kTicks * share)); };
  }

  audit::AuditOptions options_for(const char* step) {
    return {.precision = precision_named(settings_.precision),
            .row_arrays = !settings_.arrays.empty(),
            .threads = threads_,
            .memory = memory_of(settings_),
            .progress = progress_of(step)};
  }

  std::string text_of(std::int32_t id) const { return tokenizer_ ? tokenizer_->text_of(id) : fmt::format("{}", id); }

  void name_places() {
    if (tokenizer_) {
      name_tokens(made_.record, [&](std::int64_t text, std::int64_t token) { return text_of(ids_[text][token]); });
    }
  }

  void run_trials() {
    audit::AuditRecord& record = made_.record;
    const models::Description& model = model_.description();
    const bool predicts = model.has_head;
    if (settings_.scores || settings_.thorough) score();
    if (!settings_.costs.empty() || (settings_.thorough && predicts)) {
      record.costs = audit::intervention_costs(model_, trial_texts(ids_, 0),
                                               {.heads = settings_.costs == "heads",
                                                .threads = threads_,
                                                .memory = memory_of(settings_),
                                                .progress = progress_of("costs")});
      stop_if_interrupted();
      progress_.finish();
    }
    const bool can_vary_first = tokenizer_ && model.causal && predicts;
    if (settings_.first_tokens || (settings_.thorough && can_vary_first)) vary_first_tokens();
    const std::vector<std::string> variations = variations_of(settings_.what_if);
    if (!variations.empty()) {
      record.what_if = audit::what_if(model_, trial_texts(ids_, 0), variations, options_for("what if"));
      progress_.finish();
    }
    if (settings_.out.empty()) return;
    made_.pictures = audit::attention_pictures(model_, ids_[0], audit::chosen_heads(record), threads_);
    for (std::size_t i = 0; i < std::min<std::size_t>(ids_[0].size(), audit::kPictureTokens); ++i) {
      made_.picture_tokens.push_back(text_of(ids_[0][i]));
    }
  }

  // `room`: tokens that are still to come before each.
  Ids trial_texts(const Ids& texts, std::int64_t room) const {
    const std::int64_t limit = made_for(model_.description());
    const std::int64_t most = limit > 0 ? std::min(kTrialTokens, limit - room) : kTrialTokens;
    Ids cut(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(std::min(kTrialTexts, texts.size())));
    for (std::vector<std::int32_t>& text : cut) text.resize(std::min<std::size_t>(text.size(), most));
    return cut;
  }

  void score() {
    constexpr std::int64_t kHalf = 64, kTexts = 4;
    const std::int64_t limit = made_for(model_.description());
    const std::int64_t half = limit > 0 ? std::min(kHalf, (limit - 1) / 2) : kHalf;
    progress_of("scores")(0.0);
    made_.record.scores =
        audit::head_scores(model_, tokenizer_ && tokenizer_->bos() ? *tokenizer_->bos() : -1, half, kTexts, threads_);
    stop_if_interrupted();
    made_.record.query_key_norms = audit::query_key_norms(model_, threads_);
    progress_.finish();
  }

  void require_first_tokens() const {
    if (model_.description().causal) return;
    throw Error("--first-tokens is of models that predict the next token: {} is an encoder",
                model_.description().architecture);
  }

  void vary_first_tokens() {
    std::vector<audit::FirstToken> tokens{{-1, "no first token"}};
    const auto add = [&](std::optional<std::int32_t> id, const char* role) {
      const bool is_new = id && std::ranges::find(tokens, *id, &audit::FirstToken::id) == tokens.end();
      if (is_new) tokens.push_back({*id, fmt::format("{}\"{}\"", role, tokenizer_->text_of(*id))});
    };
    add(tokenizer_->bos(), "its own BOS, ");
    add(tokenizer_->eos(), "end of text, ");
    for (const char* text : {"\n", " the", "."}) {
      const std::vector<std::int32_t> ids = tokenizer_->encode(text, tasks::text::SpecialTokens::kNone);
      if (!ids.empty()) add(ids.back(), "");
    }
    Ids bare;
    for (audit::TokenizedDocument& document : audit::tokenized(
             documents_, *tokenizer_, tasks::text::SpecialTokens::kNone, context_of(settings_, model_.description()))) {
      bare.push_back(std::move(document.ids));
    }
    made_.record.first_tokens =
        audit::first_token_variations(model_, trial_texts(bare, 1), tokens, options_for("first tokens"));
    progress_.finish();
  }

  const AuditSettings& settings_;
  models::PretrainedModel model_;
  int threads_;
  ProgressBoard board_;
  Progress progress_;
  std::optional<tasks::text::Tokenizer> tokenizer_;
  std::vector<audit::Document> documents_;
  Ids ids_;
  audit::AuditedModel made_;
};

}  // namespace

void check(const AuditSettings& settings) {
  if (settings.models.empty()) throw Error("audit needs a MODEL: a folder, a .gguf file or a name; or --example");
  if (settings.ids.empty() && settings.text.empty()) {
    throw Error("audit needs texts: --text FILE|FOLDER|FILE.jsonl or --ids FILE.json");
  }
  if (!settings.ids.empty() && !settings.text.empty()) {
    throw Error("--text and --ids are both given: texts come of one of them");
  }
  if (settings.models.size() > 1 && !settings.arrays.empty()) {
    throw Error("--arrays holds the rows of one model, and {} are given", settings.models.size());
  }
  if (!settings.costs.empty() && settings.costs != "layers" && settings.costs != "heads") {
    throw Error("--costs is \"{}\": it must be layers or heads", settings.costs);
  }
  if (settings.first_tokens && settings.text.empty()) {
    throw Error("--first-tokens needs a tokenizer: give --text in place of --ids");
  }
  precision_named(settings.precision);
  memory_of(settings);
  whole_number("--context", settings.context, 0);
  whole_number("--documents", settings.documents, 1);
}

std::function<audit::AuditedModel()> prepared(const AuditSettings& settings, const std::string& model) {
  return [run = std::make_shared<ModelRun>(settings, model)] { return run->run(); };
}

}  // namespace polariscope::cli
