// An audit written and read again, and the sentences that are made of it.
#include "polariscope/audit/record.h"

#include "audit/tiny_models.h"
#include "polariscope/audit/attention_pictures.h"
#include "polariscope/audit/report/audit_page.h"
#include "polariscope/audit/summary.h"
#include "polariscope/audit/verdicts.h"
#include "polariscope/base/files.h"
#include "support/complaint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace polariscope::audit {
namespace {

using namespace polariscope::testing;

// A head whose rows, of 40 keys, give `first` to the first one, and have this much of the entropy they could.
HeadResult head_with(double first, double relative_entropy, double largest_logit = 5.0) {
  HeadResult head;
  head.first_visible_key.add(first);
  head.flat_share.add(0.025);
  head.relative_entropy.add(relative_entropy);
  head.entropy.add(relative_entropy * std::log(40.0));
  head.first_value_ratio.add(0.1);
  head.largest_logit = largest_logit;
  head.entropy_by_position.resize(2);
  head.entropy_by_position[1].add(1.0);
  head.relative_entropies = {1, 0, 2};
  return head;
}

// Layers of two heads; text 1 has a token named "so".
AuditRecord record_of(std::vector<std::vector<HeadResult>> layers) {
  AuditRecord record{.model = "runs/step-200/", .architecture = "llama"};
  record.vocabulary = 5;
  record.width = 4;
  record.precision = "float32";
  record.tokenizer = "a tokenizer";
  record.texts = {{"one.txt", 3, {{7, "be"}, {8, "gin"}}, {}}, {"two.txt", 0, {}, {{17, "so"}}}};
  record.given_texts = 2;
  record.context = 64;
  record.windows.assign(layers.size(), 0);
  record.result.texts = {{40, 39, 2.5}, {40, 39, 3.5}};
  record.result.nll.add(2.5);
  record.result.nll.add(3.5);
  for (std::vector<HeadResult>& heads : layers) {
    LayerResult& layer = record.result.layers.emplace_back();
    layer.heads = std::move(heads);
    layer.largest = {{1, 17, 3, -810.0, 600.0}};
    layer.kurtosis.add(5.0);
    layer.hidden_norm.add(20.0);
    layer.median_activation.add(1.0);
  }
  return record;
}

AuditRecord full_record() {
  AuditRecord record = record_of({{head_with(0.02, 0.95), head_with(0.02, 0.5)},
                                  {head_with(0.8, 0.3, 130.0), head_with(0.9, 0.05)},
                                  {head_with(0.4, 0.5), head_with(0.1, 0.6)}});
  record.result.layers[0].heads[1].sinks = {{0, 0, 0.4}, {1, 17, 0.6}};
  record.result.layers[1].massive = 3;
  record.costs = {.nll = 3.0, .sinks = {{-1, -1, 5.0}, {0, -1, 3.0}, {1, -1, 3.5}, {2, -1, 3.75}}, .heads = {}};
  for (std::int64_t h = 0; h < 6; ++h)
    record.costs->heads.push_back({h / 2, h % 2, 3.0 + 0.1 * static_cast<double>(h)});
  record.scores.assign(3, {{0.1, 0.2, 0.9}, {0.8, 0.0, 0.1}});
  record.query_key_norms.assign(3, {1.5, std::nan("")});
  record.first_tokens = {
      {.name = "no first token", .nll = 3.0, .layer_sinks = {0.1, 0.2, 0.3}, .layer_entropies = {1, 2, 3}},
      {.name = "\"\\n\"", .nll = 2.86, .layer_sinks = {0.1, 0.2, 0.3}, .layer_entropies = {1, 2, 3}}};
  record.what_if = {{.name = "as it is", .nll = 3.0}, {.name = "softmax1", .nll = 3.25}};
  return record;
}

const report::Remark& remark_with(const std::vector<report::Remark>& remarks, const std::string& words) {
  static const report::Remark kNone{};
  const auto found = std::ranges::find_if(
      remarks, [&](const report::Remark& remark) { return remark.text.find(words) != remark.text.npos; });
  EXPECT_NE(found, remarks.end()) << words;
  return found == remarks.end() ? kNone : *found;
}

TEST(Record, IsReadAsItWasWritten) {
  const TemporaryFolder folder;
  const AuditRecord record = full_record();
  write_file(folder.path() / "audit.json", as_json(record).dump());
  const AuditRecord read = read_record(folder.path());
  EXPECT_EQ(as_json(read), as_json(record));
  EXPECT_EQ(read.result.layers[1].heads[1].relative_entropy.value(), 0.05);
  EXPECT_NEAR(read.result.nll.standard_deviation(), 0.5, 1e-12);
  EXPECT_EQ(read.result.nll.count(), 2);
  EXPECT_EQ(read.costs->sinks[0].layer, -1);
  EXPECT_EQ(verdicts(read).size(), verdicts(record).size());
  for (const Scalar& scalar : summary_scalars()) {
    const double a = scalar.of(read.result), b = scalar.of(record.result);
    EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << scalar.name;
  }
}

TEST(Record, OfOtherFilesIsRefusedInASentence) {
  const TemporaryFolder folder;
  const auto refusal_of = [&](const std::string& contents) {
    write_file(folder.path() / "audit.json", contents);
    return complaint_of([&] { read_record(folder.path() / "audit.json"); });
  };
  EXPECT_NE(complaint_of([&] { read_record(folder.path() / "none.json"); }).find("none.json"), std::string::npos);
  for (const char* contents : {"", "[]", "{}", "[1", R"({"version": 1})"}) {
    EXPECT_NE(refusal_of(contents).find("expected the record of an audit"), std::string::npos) << contents;
  }
  nlohmann::ordered_json json = as_json(full_record());
  json["version"] = 7;
  EXPECT_NE(refusal_of(json.dump()).find("its version is 7"), std::string::npos);
  // Every part of it, taken away or of another kind.
  const nlohmann::ordered_json whole = as_json(full_record());
  for (const auto& [key, value] : whole.items()) {
    if (key == "version" || key == "summary") continue;
    json = whole;
    json[key] = value.is_string() ? nlohmann::ordered_json(1.5) : nlohmann::ordered_json("x");
    EXPECT_NE(refusal_of(json.dump()).find("audit.json"), std::string::npos) << key;
  }
  json = whole;
  json["layers"][1]["heads"][0].erase("entropy");
  EXPECT_NE(refusal_of(json.dump()).find("no complete audit"), std::string::npos);
}

TEST(Record, NamesNoTokenOfATextThatIsNotThere) {
  AuditRecord record = full_record();
  for (const std::int64_t text : {std::int64_t{-1}, std::int64_t{2}, std::int64_t{1} << 40}) {
    record.result.layers[0].heads[1].sinks = {{text, 17, 0.6}};
    record.result.layers[1].largest[0].text = text;
    EXPECT_EQ(token_in_words(record, text, 17), fmt::format("token 17 of text {}", text));
    EXPECT_FALSE(report::render(audit_page(std::vector<AuditedModel>{{record}})).empty());
  }
}

TEST(Verdicts, SayWhatTheNumbersSay) {
  const std::vector<report::Remark> found = verdicts(full_record());
  const report::Remark& sinks = remark_with(found, "a sink of the first token");
  EXPECT_TRUE(sinks.notable);
  EXPECT_NE(sinks.text.find("3 of 6 heads are a sink of the first token that they see, in layers 1 to 2"),
            std::string::npos)
      << sinks.text;
  EXPECT_NE(sinks.text.find("In layer 1, 2 of 2 heads keep 85 % of their attention on it, where equal weights would "
                            "give 2.5 %; without what it adds there the loss is 0.5 nats per token more."),
            std::string::npos)
      << sinks.text;
  EXPECT_NE(sinks.text.find("Without it in all layers the loss is 2 nats per token more, in one layer alone at most "
                            "0.75 nats per token more (layer 2)."),
            std::string::npos)
      << sinks.text;
  EXPECT_NE(sinks.criterion.find("0.3"), std::string::npos);
  EXPECT_TRUE(remark_with(found, "\"so\" (token 17 of text 1) gets 60 % in layer 0, head 1").notable);
  EXPECT_TRUE(remark_with(found, "1 of 6 heads has collapsed onto few tokens, in layer 1; all onto the first").notable);
  EXPECT_FALSE(remark_with(found, "1 of 6 heads look at all tokens nearly alike, in layer 0").notable);
  EXPECT_TRUE(
      remark_with(found, "massive activations after layer 1. The largest is -810, 600 times the median").notable);
  EXPECT_TRUE(
      remark_with(found, "The largest logit is 130 (layer 1, head 0). In bfloat16 its neighbours are 1 apart").notable);
  EXPECT_TRUE(remark_with(found, "\"\\n\" 0.14 nats per token less").notable);
  EXPECT_FALSE(remark_with(found, "softmax1 0.25 nats per token more").notable);
  EXPECT_FALSE(
      remark_with(found, "costs most in layer 2, head 1: the loss is 0.5 nats per token more. 1 of 6").notable);
  EXPECT_FALSE(remark_with(found, "3 heads are ones of induction; the strongest, layer 0, head 0, gives 90 %").notable);
  EXPECT_TRUE(std::ranges::is_sorted(found, std::greater<>(), &report::Remark::notable));
}

TEST(Verdicts, OfAModelWithoutAnyOfItSayHowFarItIs) {
  const AuditRecord record = record_of({{head_with(0.29, 0.5), head_with(0.1, 0.4)}});
  const std::vector<report::Remark> found = verdicts(record);
  EXPECT_TRUE(std::ranges::none_of(found, &report::Remark::notable));
  remark_with(found,
              "No head is a sink. The first token seen gets at most 29 % of a head's attention (layer 0, head 0), "
              "where equal weights would give 2.5 %.");
  remark_with(found, "No head has collapsed. The least entropy is 40 % of what there could be (layer 0, head 1).");
  remark_with(found, "No head looks at all tokens alike.");
  remark_with(found, "No activation is massive. The largest is -810");
  remark_with(found, "The largest logit is 5");
  // Half of what rows of two keys give is no sink.
  AuditRecord flat = record_of({{head_with(0.4, 0.9)}});
  flat.result.layers[0].heads[0].flat_share = {};
  flat.result.layers[0].heads[0].flat_share.add(0.35);
  remark_with(verdicts(flat), "No head is a sink.");
}

TEST(Verdicts, BeginWithAnInterruptAndCountWhatWasSeen) {
  AuditRecord record = record_of({{head_with(0.8, 0.5)}, {HeadResult{}}});
  record.result.interrupted = true;
  record.given_texts = 5;
  const std::vector<report::Remark> found = verdicts(record);
  EXPECT_NE(found[0].text.find("2 of 5 texts were finished, 1 of 2 layers were reached"), std::string::npos)
      << found[0].text;
  remark_with(found, "1 of 1 heads is a sink");
  EXPECT_EQ(find_scalar("sink_heads").of(record.result), 1.0);
}

TEST(Verdicts, SayThatTextsAreLongerThanTheModelWasMadeFor) {
  AuditRecord record = record_of({{head_with(0.1, 0.5)}});
  record.context = 39;
  EXPECT_TRUE(remark_with(verdicts(record), "up to 40 tokens, more than the 39").notable);
}

TEST(Verdicts, OfScoresThatWindowsHideSaySo) {
  AuditRecord record = record_of({{head_with(0.1, 0.5)}});
  record.scores = {{{0.5, std::nan(""), std::nan("")}}};
  remark_with(verdicts(record), "Whether heads are ones of induction is not known");
}

TEST(Verdicts, OfNothingAreStillSentences) {
  AuditRecord record = record_of({{HeadResult{}}});  // interrupted before a row was seen
  record.result.layers[0].largest.clear();
  record.result.texts.clear();
  for (const report::Remark& remark : verdicts(record))
    EXPECT_EQ(remark.text.find("nan"), std::string::npos) << remark.text;
}

TEST(Pictures, AreTheWeightsOfTheHeadsThatStandOut) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  const std::vector<std::int32_t> text{0, 1, 2, 3, 4, 2};
  const auto pictures = attention_pictures(model, text, {{0, 1, "chosen"}}, 1);
  ASSERT_EQ(pictures.size(), 1U);
  ASSERT_EQ(pictures[0].weights.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    double sum = 0.0;
    for (std::size_t k = 0; k < 6; ++k) {
      EXPECT_EQ(std::isnan(pictures[0].weights[i][k]), k > i);
      if (k <= i) sum += pictures[0].weights[i][k];
    }
    EXPECT_NEAR(sum, 1.0, 1e-6);
  }
  const std::vector<ChosenHead> chosen = chosen_heads(full_record());
  ASSERT_EQ(chosen.size(), 3U);  // the others are the same heads again
  EXPECT_EQ(chosen[0].why, "the strongest sink");
  EXPECT_EQ(std::pair(chosen[0].layer, chosen[0].head), std::pair(std::int64_t{1}, std::int64_t{1}));
  EXPECT_EQ(std::pair(chosen[1].layer, chosen[1].head), std::pair(std::int64_t{0}, std::int64_t{1}));
  std::set<std::pair<std::int64_t, std::int64_t>> places;
  for (const ChosenHead& head : chosen) places.insert({head.layer, head.head});
  EXPECT_EQ(places.size(), chosen.size());
}

TEST(AuditPage, HasAPlaceForAllEvidenceAndANumberForEachHead) {
  const report::Page page = audit_page(std::vector<AuditedModel>{{full_record()}});
  for (const report::Remark& remark : page.remarks) {
    const bool found = std::ranges::any_of(page.sections, [&](const report::Section& section) {
      return std::ranges::any_of(section.figures,
                                 [&](const auto& f) { return section.id + "/" + f.id == remark.evidence; }) ||
             std::ranges::any_of(section.listings,
                                 [&](const auto& l) { return section.id + "/" + l.id == remark.evidence; });
    });
    EXPECT_TRUE(found) << remark.evidence;
  }
  const report::Section& heads = page.sections[0];
  EXPECT_EQ(heads.id, "heads");
  ASSERT_EQ(heads.listings.size(), 1U);
  EXPECT_EQ(heads.listings[0].table.rows(), 6U);
  EXPECT_NE(report::render(page).find("step-200"), std::string::npos);
}

TEST(AuditPage, ShowsCheckpointsAgainstTheirStepAndOthersByName) {
  std::vector<AuditedModel> models(3);
  const char* const names[] = {"run/step-400/", "run/step-50", "run/step-200.gguf"};
  for (std::size_t i = 0; i < 3; ++i) {
    models[i].record = full_record();
    models[i].record.model = names[i];
  }
  EXPECT_EQ(steps_of(models), (std::vector<double>{400, 50, 200}));
  const report::Page page = audit_page(models);
  EXPECT_EQ(page.sections[0].id, "models");
  EXPECT_EQ(page.sections[0].figures[0].id, "steps");
  EXPECT_EQ(std::get<std::vector<double>>(page.sections[0].figures[0].table.columns[0].values),
            (std::vector<double>{50, 200, 400}));
  EXPECT_EQ(page.sections[1].id, "1.heads");
  models[1].record.model = "other";
  EXPECT_TRUE(steps_of(models).empty());
  EXPECT_EQ(audit_page(models).sections[0].figures[0].id, "sparsity");
  EXPECT_TRUE(steps_of(std::span(models).first(1)).empty());
}

}  // namespace
}  // namespace polariscope::audit
