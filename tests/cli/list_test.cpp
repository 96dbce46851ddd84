// polariscope list: every listing as a table, as Markdown and as JSON says the same.
#include "command.h"
#include "polariscope/reweighting/attention_form.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

using Json = nlohmann::json;

std::string list(const std::string& what, const std::string& option = "") {
  std::vector<std::string> words{"list", what};
  if (!option.empty()) words.push_back(option);
  const Outcome outcome = polariscope_run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return outcome.out;
}

TEST(List, OfAttentionsHoldsEveryFormWithItsAliasAndFormula) {
  const Json rows = Json::parse(list("attentions", "--json"));
  ASSERT_EQ(rows.size(), reweighting::attention_forms().size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const reweighting::AttentionForm& form = reweighting::attention_forms()[i];
    EXPECT_EQ(rows[i].at("attention"), form.name);
    EXPECT_EQ(rows[i].at("also"), form.alias);
    EXPECT_EQ(rows[i].at("weights p"), form.formula);
  }
  const std::string table = list("attentions");
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    EXPECT_NE(table.find("\n" + std::string(form.name) + " "), std::string::npos) << form.name;
  }
}

TEST(List, SaysTheSameAsATableAsMarkdownAndAsJson) {
  for (const std::string what : {"experiments", "reweightings", "attentions", "checks", "options"}) {
    const Json rows = Json::parse(list(what, "--json"));
    const std::vector<std::string> markdown = lines_of(list(what, "--markdown"));
    EXPECT_FALSE(rows.empty()) << what;
    EXPECT_EQ(rows.size() + 2, markdown.size()) << what;
    EXPECT_GT(lines_of(list(what)).size(), rows.size()) << what;
    for (const Json& row : rows) {
      for (const Json& cell : row) EXPECT_TRUE(cell.is_string()) << what;
    }
  }
}

TEST(List, KeepsTheOrderOfTheHeadingsInJson) {
  const std::string text = list("attentions", "--json");
  EXPECT_LT(text.find("\"attention\""), text.find("\"also\""));
  EXPECT_LT(text.find("\"also\""), text.find("\"weights p\""));
}

}  // namespace
}  // namespace polariscope::testing
