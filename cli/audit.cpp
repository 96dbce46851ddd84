// polariscope audit: what every head and layer of a pretrained model does.
#include "polariscope/audit/audit.h"

#include "audit_print.h"
#include "commands.h"
#include "polariscope/audit/documents.h"
#include "polariscope/audit/example.h"
#include "polariscope/audit/summary.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/progress.h"
#include "polariscope/base/terminal.h"
#include "polariscope/reweighting/simd_target_name.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/runs/run_folder.h"
#include "polariscope/tasks/text/tokenizer.h"
#include "settings.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::cli {
namespace {

struct AuditSettings {
  std::string model, text, tokenizer, ids, arrays, out, config, precision = "float32";
  double documents = 1000, context = 0, threads = 0;
  std::vector<std::string> fail_on;
  bool example = false, json = false, quiet = false;
};

using Texts = std::vector<std::vector<std::int32_t>>;

// A list of lists of token ids.
Texts read_ids(const std::string& path) {
  const nlohmann::json lists = nlohmann::json::parse(read_file(path), nullptr, false);
  if (!lists.is_array()) throw Error("{}: expected JSON, a list of lists of token ids", path);
  Texts texts;
  for (const nlohmann::json& list : lists) {
    if (!list.is_array())
      throw Error("{}: text {} is no list: expected a list of lists of token ids", path, texts.size());
    std::vector<std::int32_t>& text = texts.emplace_back();
    for (const nlohmann::json& id : list) {
      const bool fits = id.is_number_integer() && id >= 0 && id <= std::numeric_limits<std::int32_t>::max();
      if (!fits) {
        throw Error("{}: token {} of text {} is {}: expected a whole number from 0 on", path, text.size(),
                    texts.size() - 1, id.dump().substr(0, 40));
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

// Tokens of a text where --context says nothing: as many as the model was made for, but attention over more takes long.
constexpr std::int64_t kMostContext = 4096;

std::int64_t context_of(const AuditSettings& settings, const models::Description& model) {
  if (settings.context > 0) return whole_number("--context", settings.context, 1);
  const std::int64_t made_for =
      model.learned_positions > 0 ? model.learned_positions - model.position_offset : model.context;
  return made_for > 0 ? std::min(made_for, kMostContext) : kMostContext;
}

struct Work {
  Texts ids;
  AuditedTexts texts;
};

Work read_work(const AuditSettings& settings, const models::PretrainedModel& model) {
  Work work;
  if (!settings.ids.empty()) {
    work.ids = read_ids(settings.ids);
    work.texts.texts.resize(work.ids.size());
    return work;
  }
  const auto most = whole_number("--documents", settings.documents, 1);
  const std::vector<audit::Document> documents = audit::read_documents(settings.text, most);
  const tasks::text::Tokenizer tokenizer = audit::tokenizer_of(model.checkpoint(), settings.tokenizer);
  work.texts.tokenizer = tokenizer.describe();
  for (audit::TokenizedDocument& document :
       audit::tokenized(documents, tokenizer, context_of(settings, model.description()))) {
    constexpr std::size_t kFirst = 8;
    AuditedText& text = work.texts.texts.emplace_back(AuditedText{document.name, document.left_out, {}});
    for (std::size_t i = 0; i < std::min(kFirst, document.ids.size()); ++i) {
      text.first.emplace_back(document.ids[i], tokenizer.text_of(document.ids[i]));
    }
    work.ids.push_back(std::move(document.ids));
  }
  return work;
}

// The example's own model and text in place of those that were to be given.
AuditSettings of_example(AuditSettings settings, const audit::ExampleFolder& example) {
  if (!settings.model.empty() || !settings.text.empty() || !settings.ids.empty()) {
    throw Error("--example brings its own model and text: leave out MODEL, --text and --ids");
  }
  settings.model = example.model().string();
  settings.text = example.text().string();
  return settings;
}

int run(const AuditSettings& settings, const CLI::App& command) {
  if (settings.example) {
    const audit::ExampleFolder example;
    AuditSettings its_own = of_example(settings, example);
    its_own.example = false;
    return run(its_own, command);
  }
  if (settings.model.empty()) throw Error("audit needs a MODEL: a folder, a .gguf file or a name; or --example");
  if (settings.ids.empty() == settings.text.empty()) {
    throw Error("audit needs texts: either --text FILE|FOLDER|FILE.jsonl or --ids FILE.json");
  }
  std::vector<audit::Limit> limits;
  for (const std::string& text : settings.fail_on) {
    limits.push_back(of_option("--fail-on", [&] { return audit::parsed_limit(text); }));
  }
  audit::AuditOptions options{.precision = precision_named(settings.precision),
                              .row_arrays = !settings.arrays.empty(),
                              .threads = static_cast<int>(whole_number("--threads", settings.threads, 0, 1024)),
                              .progress = {}};
  const models::PretrainedModel model{checkpoints::Checkpoint(settings.model)};
  const Work work = read_work(settings, model);
  catch_interrupts();
  // Places that cannot be written are found before the work.
  if (!settings.arrays.empty()) make_folder(std::filesystem::absolute(settings.arrays).parent_path());
  std::optional<runs::RunFolder> folder;
  if (!settings.out.empty()) {
    folder.emplace(settings.out, config_text(command, {"out", "json", "quiet", "threads", "fail-on"}, settings.out));
    const int threads = options.threads > 0 ? options.threads : processor_count();
    runs::record_provenance(folder->path(), runs::provenance(reweighting::simd_target_name(), threads));
  }
  audit::AuditResult result;
  {
    ProgressBoard board(settings.quiet || settings.json ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
    constexpr double kTicks = 1000.0;
    Progress progress = board.start("audit", static_cast<std::uint64_t>(kTicks), "");
    options.progress = [&](double share) { progress.update(static_cast<std::uint64_t>(kTicks * share)); };
    result = audit::audit(model.description(), model, work.ids, options);
    progress.finish();
  }
  const nlohmann::ordered_json report = as_json(model.description(), result, work.texts);
  if (folder) write_file(folder->path() / "audit.json", report.dump(1) + "\n");
  if (result.arrays) {
    write_row_arrays(*result.arrays, settings.arrays, {{"model", settings.model}, {"precision", settings.precision}});
  }
  if (settings.json) {
    fmt::print("{}\n", report.dump());
  } else {
    fmt::print("{}", in_words(model.description(), result, work.texts));
  }
  if (result.interrupted) {
    tell(fmt::format("polariscope: interrupted: the numbers are of {} of {} texts, and of what was seen of others\n",
                     result.texts.size(), work.ids.size()));
    return 130;
  }
  int code = 0;
  for (const audit::Limit& limit : limits) {
    const std::string sentence = audit::complaint(limit, result);
    if (sentence.empty()) continue;
    tell(fmt::format("polariscope: {}\n", sentence));
    code = 1;
  }
  return code;
}

}  // namespace

Command add_audit(CLI::App& app) {
  CLI::App* command = app.add_subcommand("audit", "What every head and layer of a pretrained model does");
  auto settings = std::make_shared<AuditSettings>();
  command
      ->add_option("model", settings->model,
                   "A folder with config.json and safetensors, a .gguf file, or a name in the cache of the hf program")
      ->type_name("MODEL");
  command->add_flag("--example", settings->example, "A small model and a text that come with the program");
  command
      ->add_option("--text", settings->text,
                   "A text file, a folder of .txt files, or a .jsonl file with a \"text\" in each line")
      ->type_name("FILE");
  command->add_option("--documents", settings->documents, "At most so many of them")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--context", settings->context,
                   "Cut each document after N tokens; 0: after as many as the model was made for, 4096 at most")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--tokenizer", settings->tokenizer, "Its file or folder, if it does not lie with the model")
      ->type_name("FILE");
  command->add_option("--ids", settings->ids, "In place of --text: texts as token ids: a JSON list of lists")
      ->type_name("FILE");
  command
      ->add_option("--arrays", settings->arrays,
                   "Write what was measured row by row, as safetensors: entropy, first_key, maximum [texts, layers, "
                   "heads, tokens], hidden_norm [texts, layers + 1, tokens], logits_last [texts, vocabulary], nll "
                   "[texts]; NaN where a text has no such token")
      ->type_name("FILE");
  command
      ->add_option("--precision", settings->precision,
                   "float32; bfloat16: products alone, where the processor has them; float64: slow, to see what "
                   "rounding does")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--threads", settings->threads, "0: one a processor")->type_name("N")->capture_default_str();
  command
      ->add_option("--fail-on", settings->fail_on,
                   "Exit with 1 where this holds, for pipelines: \"sink_heads>0.3\"; more than once for more limits")
      ->type_name("LIMIT")
      ->allow_extra_args(false);
  command->add_flag("--json", settings->json, "Print one JSON object instead of tables");
  command->add_option("--out", settings->out, "Folder for audit.json and config.toml")->type_name("FOLDER");
  command->add_option("--config", settings->config, "TOML file with any of these options; the command line wins")
      ->type_name("FILE");
  command->add_flag("--quiet", settings->quiet, "No progress");
  command->footer(
      "Examples:\n"
      "  polariscope audit --example\n"
      "  polariscope audit SmolLM2-135M.gguf --text book.txt --context 4096\n"
      "  polariscope audit path/to/model --text documents.jsonl --documents 1000 --context 256 --out audit\n"
      "  polariscope audit path/to/model --ids ids.json --arrays rows.safetensors --out audit\n"
      "  polariscope audit gpt2 --text folder --json | python3 -m json.tool\n"
      "In a notebook: safetensors.numpy.load_file('rows.safetensors')['entropy']");
  return [=] {
    require_values(*command);
    if (!settings->config.empty()) apply_config(*command, settings->config);
    require_values(*command);
    return run(*settings, *command);
  };
}

}  // namespace polariscope::cli
