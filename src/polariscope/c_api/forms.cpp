// The table of attentions.
#include "polariscope/attention/row_arrays.h"
#include "polariscope/base/error.h"
#include "polariscope/c_api.h"
#include "polariscope/c_api/internal/guard.h"
#include "polariscope/reweighting/attention_form.h"
#include "polariscope/reweighting/attention_parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

namespace polariscope::c_api {
namespace {

using reweighting::AttentionForm;

// Texts that end in a zero, for as long as the process lives.
struct Described {
  std::string name, alias, formula, statistics, parameters;
  bool scaled = true;
  std::int32_t kind = 0;

  explicit Described(const AttentionForm& form)
      : name(form.name),
        alias(form.alias),
        formula(form.formula),
        statistics(fmt::format("{}", fmt::join(attention::statistic_names(form), ","))),
        scaled(form.scaled),
        kind(static_cast<std::int32_t>(reweighting::kind_of(form))) {
    std::vector<std::string_view> names;
    for (const reweighting::AttentionParameter& parameter : reweighting::attention_parameters()) {
      if (parameter.belongs_to(form)) names.push_back(parameter.name);
    }
    parameters = fmt::format("{}", fmt::join(names, ","));
  }
};

const std::vector<Described>& described() {
  static const std::vector<Described> kAll(reweighting::attention_forms().begin(),
                                           reweighting::attention_forms().end());
  return kAll;
}

}  // namespace
}  // namespace polariscope::c_api

using polariscope::Error;
using polariscope::c_api::described;
using polariscope::c_api::guarded;

std::int32_t polariscope_form_count() {
  return static_cast<std::int32_t>(polariscope::reweighting::attention_forms().size());
}

std::int32_t polariscope_describe_form(std::int32_t index, polariscope_form* form) {
  return guarded([&] {
    const auto known = polariscope::c_api::known_fields(form, sizeof(polariscope_form), "form");
    if (index < 0 || index >= polariscope_form_count()) {
      throw Error("form {}: expected 0 to {}", index, polariscope_form_count() - 1);
    }
    const auto& is = described()[index];
    *form = {.size = known.size,
             .name = is.name.c_str(),
             .alias = is.alias.c_str(),
             .formula = is.formula.c_str(),
             .statistics = is.statistics.c_str(),
             .parameters = is.parameters.c_str(),
             .scaled = is.scaled ? 1 : 0,
             .kind = is.kind};
  });
}

std::int32_t polariscope_find_form(const char* name) {
  std::int32_t index = -1;
  guarded([&] {
    if (name == nullptr) throw Error("the name of an attention is missing");
    const auto& form = polariscope::reweighting::find_attention_form(name);
    index = static_cast<std::int32_t>(&form - polariscope::reweighting::attention_forms().data());
  });
  return index;
}
