// polariscope audit: what every head and layer of pretrained models does.
#include "audit_print.h"
#include "audit_run.h"
#include "commands.h"
#include "polariscope/audit/example.h"
#include "polariscope/audit/summary.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/reweighting/simd_target_name.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/runs/run_folder.h"
#include "settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace polariscope::cli {
namespace {

namespace fs = std::filesystem;

// Where the audit of each model goes: the folder itself, of several models one each, named after them.
std::vector<fs::path> folders_of(const AuditSettings& settings) {
  if (settings.models.size() == 1) return {settings.out};
  std::vector<fs::path> folders;
  for (const std::string& model : settings.models) {
    fs::path path = fs::weakly_canonical(fs::absolute(model));
    if (!path.has_filename()) path = path.parent_path();
    const fs::path name = path.has_filename() ? path.filename() : fs::path("model");
    fs::path folder = fs::path(settings.out) / name;
    for (int i = 2; std::ranges::find(folders, folder) != folders.end(); ++i) {
      folder = fs::path(settings.out) / fmt::format("{}-{}", name.string(), i);
    }
    folders.push_back(std::move(folder));
  }
  return folders;
}

bool are_same(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return !a.empty() && !b.empty() &&
         fs::weakly_canonical(fs::absolute(a), error) == fs::weakly_canonical(fs::absolute(b), error);
}

// What is read, and what is written besides, is not to be written over.
void require_own_place(const AuditSettings& settings) {
  const fs::path arrays = settings.arrays;
  for (const std::string& read :
       {settings.text, settings.ids, settings.tokenizer, settings.baseline, settings.config, settings.models.front()}) {
    if (are_same(arrays, read) || are_same(fs::absolute(arrays).parent_path(), settings.models.front())) {
      throw Error("--arrays {}: that is among what is read: choose another place", settings.arrays);
    }
  }
  for (const char* name : {"audit.json", "report.html", "config.toml", "provenance.json"}) {
    if (!settings.out.empty() && are_same(arrays, fs::path(settings.out) / name)) {
      throw Error("--arrays {}: --out writes that file: choose another name", settings.arrays);
    }
  }
}

// For JSON and terminals: names of files may be any bytes.
std::string text_of(const nlohmann::ordered_json& json, int indent = -1) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

class Audits {
 public:
  Audits(const AuditSettings& settings, const CLI::App& command) : settings_(settings) {
    check(settings);
    for (const std::string& text : settings.fail_on) {
      limits_.push_back(of_option("--fail-on", [&] { return audit::parsed_limit(text); }));
      if (limits_.back().of_change && settings.baseline.empty()) {
        throw Error("--fail-on {}: a change needs --baseline FILE, which it is a change from", text);
      }
    }
    if (!settings.baseline.empty()) {
      baseline_ = of_option("--baseline", [&] { return audit::read_record(settings.baseline); });
      if (baseline_->result.interrupted) {
        throw Error("--baseline {}: that audit was interrupted: its numbers are not of all texts", settings.baseline);
      }
    }
    for (const std::string& model : settings.models) runs_.push_back(prepared(settings, model));
    // Places that cannot be written are found before the work.
    if (!settings.arrays.empty()) {
      require_own_place(settings);
      make_folder(fs::absolute(settings.arrays).parent_path());
    }
    if (!settings.out.empty()) open_folder(command);
  }

  int run() {
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (i > 0 && interrupted()) break;
      try {
        models_.push_back(runs_[i]());
      } catch (const Error&) {
        forget_folder();
        throw;
      }
      keep(i);
      if (!settings_.json) say(models_.back().record);
    }
    if (folder_) write_page();
    if (settings_.json) print_json();
    if (interrupted()) return say_interrupted();
    return complain();
  }

 private:
  void open_folder(const CLI::App& command) {
    folder_.emplace(settings_.out, config_text(command, {"out", "json", "quiet", "threads", "fail-on"}, settings_.out));
    const int threads = settings_.threads > 0 ? static_cast<int>(settings_.threads) : processor_count();
    runs::record_provenance(folder_->path(), runs::provenance(reweighting::simd_target_name(), threads));
    folders_ = folders_of(settings_);
  }

  // A folder that holds no result yet is not to stand in the way of the next attempt.
  void forget_folder() const {
    if (!folder_ || !models_.empty() || fs::exists(folders_[0] / "audit.json")) return;
    std::error_code ignored;
    for (const char* name : {"config.toml", "provenance.json"}) fs::remove(folder_->path() / name, ignored);
  }

  // At once, so that a later model's failure loses nothing.
  void keep(std::size_t model) const {
    if (!folder_) return;
    make_folder(folders_[model]);
    write_file(folders_[model] / "audit.json", text_of(as_json(models_[model].record), 1));
  }

  void say(const audit::AuditRecord& record) const {
    if (settings_.models.size() > 1) fmt::print("{}{}\n", models_.size() == 1 ? "" : "\n", printable(record.model));
    fmt::print("{}", in_words(record));
    if (baseline_) fmt::print("{}", compared(record, *baseline_));
  }

  void write_page() {
    std::vector<audit::AuditedModel> shown = models_;
    if (baseline_) {
      shown.push_back({.record = *baseline_, .label = fmt::format("{} (baseline)", short_name(*baseline_))});
    }
    report::Page page = audit::audit_page(shown);
    page.title = fmt::format("Audit of {}", fmt::join(names(), ", "));
    page.command = "polariscope audit";
    for (const std::string& model : settings_.example ? std::vector<std::string>() : settings_.models) {
      page.command += " " + shell_quoted(model);
    }
    page.command += " --config " + shell_quoted((folder_->path() / "config.toml").string());
    page.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
    stamp(page);
    const fs::path path = folder_->path() / "report.html";
    write_file(path, render(page));
    if (!settings_.json) fmt::print("\nreport: {}\n", printable(path.string()));
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const audit::AuditedModel& model : models_) names.push_back(short_name(model.record));
    return names;
  }

  void print_json() const {
    if (settings_.models.size() == 1) {
      fmt::print("{}", text_of(as_json(models_[0].record)));
      return;
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const audit::AuditedModel& model : models_) all.push_back(as_json(model.record));
    fmt::print("{}", text_of(all));
  }

  int say_interrupted() const {
    const audit::AuditRecord& last = models_.back().record;
    const auto finished = std::ssize(last.result.texts);
    tell(finished < last.given_texts
             ? fmt::format("polariscope: interrupted: the numbers of {} are of {} of {} texts, and of what was seen of "
                           "others\n",
                           printable(last.model), finished, last.given_texts)
             : fmt::format("polariscope: interrupted: what was to come after the texts of {} is missing\n",
                           printable(last.model)));
    return 130;
  }

  int complain() const {
    int code = 0;
    for (const audit::AuditedModel& model : models_) {
      for (const audit::Limit& limit : limits_) {
        const std::string sentence =
            audit::complaint(limit, model.record.result, baseline_ ? &baseline_->result : nullptr);
        if (sentence.empty()) continue;
        tell(settings_.models.size() == 1 ? fmt::format("polariscope: {}\n", sentence)
                                          : fmt::format("polariscope: {}: {}\n", model.record.model, sentence));
        code = 1;
      }
    }
    return code;
  }

  const AuditSettings& settings_;
  std::vector<std::function<audit::AuditedModel()>> runs_;
  std::vector<audit::Limit> limits_;
  std::optional<audit::AuditRecord> baseline_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::optional<runs::RunFolder> folder_;
  std::vector<fs::path> folders_;
  std::vector<audit::AuditedModel> models_;
};

int run(AuditSettings settings, const CLI::App& command) {
  std::optional<audit::ExampleFolder> example;
  if (settings.example) {
    if (!settings.models.empty() || !settings.text.empty() || !settings.ids.empty()) {
      throw Error("--example brings its own model and text: leave out MODEL, --text and --ids");
    }
    example.emplace();
    settings.models = {example->model().string()};
    settings.text = example->text().string();
  }
  catch_interrupts();
  return Audits(settings, command).run();
}

void add_what_is_read(CLI::App& command, AuditSettings& settings) {
  command
      .add_option("model", settings.models,
                  "Folders with config.json and safetensors, .gguf files, or names in the cache of the hf program; "
                  "several are shown side by side, checkpoints of one training against their step")
      ->type_name("MODEL");
  command.add_flag("--example", settings.example, "A small model and a text that come with the program");
  command
      .add_option("--text", settings.text,
                  "A text file, a folder of .txt files, or a .jsonl file with a \"text\" in each line")
      ->type_name("FILE");
  command.add_option("--documents", settings.documents, "At most so many of them")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--context", settings.context,
                  "Cut each text after N tokens; 0: documents after as many as the model was made for, 4096 at most")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--tokenizer", settings.tokenizer, "Its file or folder, if it does not lie with the model")
      ->type_name("FILE");
  command.add_option("--ids", settings.ids, "In place of --text: texts as token ids: a JSON list of lists")
      ->type_name("FILE");
}

void add_what_is_done(CLI::App& command, AuditSettings& settings) {
  command.add_flag("--thorough", settings.thorough,
                   "--scores, --costs layers and --first-tokens, as far as the model allows them");
  command.add_flag("--scores", settings.scores,
                   "Scores of heads over repeated random tokens (token before, same token, induction) and the norms of "
                   "W_Q and W_K together");
  command
      .add_option("--costs", settings.costs,
                  "What sinks and heads are worth in loss, over the first 8 texts, 512 tokens each: layers: without "
                  "what the first token adds, a pass a layer; heads: without each head too, a pass a head")
      ->type_name("layers|heads");
  command.add_flag("--first-tokens", settings.first_tokens,
                   "The same texts after no token, the model's own BOS, end of text and others, side by side");
  command
      .add_option("--what-if", settings.what_if,
                  "The same weights with other attention, side by side: softmax1, sink=Z, soft-cap=C, temperature=T, "
                  "with commas between")
      ->type_name("LIST");
  command
      .add_option("--precision", settings.precision,
                  "float32; bfloat16: products alone, where the processor has them; float64: slow, to see what "
                  "rounding does")
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--memory", settings.memory,
                  "Hold no more than this at once, beside the model's file, which is mapped and goes through layer by "
                  "layer: 4GiB")
      ->type_name("SIZE");
  command.add_option("--threads", settings.threads, "0: one a processor")->type_name("N")->capture_default_str();
}

void add_what_is_written(CLI::App& command, AuditSettings& settings) {
  command
      .add_option("--out", settings.out,
                  "Folder for report.html, audit.json (of several models one in a folder each) and config.toml")
      ->type_name("FOLDER");
  command
      .add_option("--arrays", settings.arrays,
                  "Write what was measured row by row, as safetensors: entropy, first_key, maximum [texts, layers, "
                  "heads, tokens], hidden_norm [texts, layers + 1, tokens], logits_last [texts, vocabulary], nll "
                  "[texts]; NaN where a text has no such token")
      ->type_name("FILE");
  command.add_flag("--json", settings.json, "Print one JSON object in place of tables; of several models a list");
  command.add_option("--baseline", settings.baseline, "An earlier audit.json, or its folder, to compare with")
      ->type_name("FILE");
  command
      .add_option("--fail-on", settings.fail_on,
                  "Exit with 1 where this holds, for pipelines: \"sink_heads>0.3\", with a baseline "
                  "\"change_in_loss>0.05\"; more than once for more limits")
      ->type_name("LIMIT")
      ->allow_extra_args(false);
  command.add_option("--config", settings.config, "TOML file with any of these options; the command line wins")
      ->type_name("FILE");
  command.add_flag("--quiet", settings.quiet, "No progress");
}

}  // namespace

Command add_audit(CLI::App& app) {
  CLI::App* command = app.add_subcommand("audit", "What every head and layer of a pretrained model does");
  auto settings = std::make_shared<AuditSettings>();
  add_what_is_read(*command, *settings);
  add_what_is_done(*command, *settings);
  add_what_is_written(*command, *settings);
  command->footer(
      "Examples:\n"
      "  polariscope audit --example --thorough --out audit       # then open audit/report.html\n"
      "  polariscope audit SmolLM2-135M.gguf --text book.txt --context 4096\n"
      "  polariscope audit path/to/model --text documents.jsonl --documents 1000 --context 256 --out audit\n"
      "  polariscope audit run/step-1000 run/step-2000 run/step-4000 --text book.txt --out training\n"
      "  polariscope audit new --text book.txt --baseline old/audit.json --fail-on \"change_in_loss>0.05\"\n"
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
