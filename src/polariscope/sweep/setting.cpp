#include "polariscope/sweep/setting.h"

#include "polariscope/reweighting/attention_form.h"

#include <fmt/format.h>

namespace polariscope::sweep {
namespace {

std::vector<std::string_view> attention_names() {
  std::vector<std::string_view> names;
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    names.push_back(form.name);
    if (!form.alias.empty()) names.push_back(form.alias);
  }
  return names;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

struct Writer {
  std::string operator()(bool truth) const { return truth ? "true" : "false"; }
  std::string operator()(std::int64_t whole) const { return fmt::format("{}", whole); }
  std::string operator()(double number) const {
    const std::string text = fmt::format("{}", number);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;  // without, it is a whole number
  }
  std::string operator()(const std::string& text) const { return quoted(text); }
};

}  // namespace

std::span<const Setting> train_settings() {
  static const std::vector<Setting> kSettings{
      {"task", ValueKind::kText, {"induction", "token-groups", "in-context-regression"}},
      {"vocabulary", ValueKind::kWhole},
      {"shift_query_token", ValueKind::kBoolean},
      {"attention", ValueKind::kText, attention_names()},
      {"layers", ValueKind::kWhole},
      {"heads", ValueKind::kWhole},
      {"width", ValueKind::kWhole},
      {"positions", ValueKind::kText, {"concat", "add", "no"}},
      {"mlp", ValueKind::kBoolean},
      {"layer_norm", ValueKind::kBoolean},
      {"auxiliary_loss", ValueKind::kNumber},
      {"sequence_length", ValueKind::kWhole},
      {"layer_form", ValueKind::kText, {"residual", "covariate", "plain"}},
      {"qk_norm", ValueKind::kText, {"no", "layer", "rms", "l2"}},
      {"learning_rate", ValueKind::kNumber},
      {"momentum", ValueKind::kNumber},
      {"steps", ValueKind::kWhole},
      {"epochs", ValueKind::kWhole},
      {"batch", ValueKind::kWhole},
      {"training_sequences", ValueKind::kWhole},
      {"evaluation_sequences", ValueKind::kWhole},
      {"seed", ValueKind::kWhole},
  };
  return kSettings;
}

std::string toml_text(const Value& value) { return std::visit(Writer(), value); }

}  // namespace polariscope::sweep
