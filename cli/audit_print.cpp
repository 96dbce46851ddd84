#include "audit_print.h"

#include "polariscope/audit/summary.h"
#include "polariscope/audit/verdicts.h"
#include "polariscope/base/terminal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

namespace polariscope::cli {
namespace {

using metrics::Mean;

struct Place {
  std::int64_t layer, head;
  const audit::HeadResult* result;
};

std::vector<Place> places_of(const audit::AuditResult& result) {
  std::vector<Place> places;
  for (std::int64_t l = 0; l < std::ssize(result.layers); ++l) {
    const auto& heads = result.layers[l].heads;
    for (std::int64_t h = 0; h < std::ssize(heads); ++h) places.push_back({l, h, &heads[h]});
  }
  return places;
}

// Those with the smallest key first, those without one last.
template <class Key>
void sort_by(std::vector<Place>& places, const Key& key) {
  std::ranges::stable_sort(places, {}, [&](const Place& place) {
    const double value = key(place);
    return std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
  });
}

std::string percent(const Mean& of) { return of.count() == 0 ? "" : fmt::format("{:.1f} %", 100.0 * of.value()); }

std::string number(double value) { return std::isnan(value) ? "none" : significant(value); }

// What makes two audits no measure of each other.
std::string differences(const audit::AuditRecord& a, const audit::AuditRecord& b) {
  std::vector<std::string> words;
  if (a.architecture != b.architecture || a.width != b.width) words.emplace_back("model");
  if (a.precision != b.precision) words.emplace_back("precision");
  if (a.tokenizer != b.tokenizer) words.emplace_back("tokenizer");
  if (!std::ranges::equal(a.result.texts, b.result.texts, {}, &audit::TextResult::tokens, &audit::TextResult::tokens)) {
    words.emplace_back("texts");
  }
  return words.empty() ? "" : fmt::format("beware: it is of another {}\n", fmt::join(words, ", "));
}

constexpr std::size_t kShown = 12;

std::string farthest_heads(const audit::AuditResult& result) {
  std::vector<Place> places = places_of(result);
  sort_by(places, [](const Place& place) { return place.result->relative_entropy.value(); });
  std::vector<std::vector<std::string>> rows{
      {"layer", "head", "entropy", "of the most there could be", "on the first token seen", "largest weight"}};
  for (const auto& [layer, head, found] : places) {
    if (rows.size() > kShown) break;
    rows.push_back({fmt::format("{}", layer), fmt::format("{}", head), number(found->entropy.value()),
                    percent(found->relative_entropy), percent(found->first_visible_key), percent(found->maximum)});
  }
  return "heads whose rows are farthest from uniform:\n" + aligned_table(rows);
}

// Words of one paragraph on lines of at most 100 columns, after a mark.
std::string paragraph(std::string_view mark, const std::string& text) {
  constexpr int kWidth = 100;
  std::string out(mark), line;
  int at = display_width(mark);
  const int indent = at;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const int width = display_width(word);
    if (at > indent && at + 1 + width > kWidth) {
      out += "\n" + std::string(indent, ' ');
      at = indent;
    } else if (at > indent) {
      out += ' ';
      ++at;
    }
    out += word;
    at += width;
  }
  return out + "\n";
}

std::string verdicts_in_words(const audit::AuditRecord& record) {
  std::string words;
  const bool colour = wants_colour(stdout);
  for (const report::Remark& remark : audit::verdicts(record)) {
    words +=
        remark.notable ? paragraph(coloured("● ", Colour::kRed, colour), remark.text) : paragraph("○ ", remark.text);
  }
  return words;
}

}  // namespace

std::string in_words(const audit::AuditRecord& record) {
  const audit::AuditResult& result = record.result;
  std::int64_t tokens = 0, left_out = 0;
  for (const audit::TextResult& text : result.texts) tokens += text.tokens;
  for (const audit::AuditedText& text : record.texts) left_out += text.left_out;
  std::string words =
      fmt::format("{}: {} layers, width {}, vocabulary {}; {} {}, {} {}\n", record.architecture, result.layers.size(),
                  record.width, record.vocabulary, result.texts.size(), result.texts.size() == 1 ? "text" : "texts",
                  tokens, tokens == 1 ? "token" : "tokens");
  if (left_out > 0)
    words += fmt::format("{} cut off: see --context\n",
                         left_out == 1 ? "1 token was" : fmt::format("{} tokens were", left_out));
  if (result.nll.count() > 0) {
    words += fmt::format("loss {} nats per token, perplexity {}\n", significant(result.nll.value()),
                         significant(std::exp(result.nll.value())));
  }
  words += "\n" + verdicts_in_words(record) + "\n";
  std::vector<std::vector<std::string>> numbers;
  for (const audit::Scalar& scalar : audit::summary_scalars()) {
    numbers.push_back({std::string(scalar.name), number(scalar.of(result)), std::string(scalar.definition)});
  }
  return words + aligned_table(numbers) + "\n" + farthest_heads(result);
}

std::string compared(const audit::AuditRecord& record, const audit::AuditRecord& baseline) {
  std::vector<std::vector<std::string>> rows{{"", "now", "baseline", "change"}};
  for (const audit::Scalar& scalar : audit::summary_scalars()) {
    const double now = scalar.of(record.result), before = scalar.of(baseline.result);
    rows.push_back({std::string(scalar.name), number(now), number(before),
                    now == before ? "0"
                    : std::isnan(now - before)
                        ? ""
                        : fmt::format("{}{}", now > before ? "+" : "", significant(now - before, 3))});
  }
  std::string words = fmt::format("\nagainst the baseline, {}:\n", printable(baseline.model)) +
                      differences(record, baseline) + aligned_table(rows);

  std::vector<Place> now = places_of(record.result);
  const std::vector<Place> before = places_of(baseline.result);
  const bool same_heads = std::ranges::equal(
      now, before, [](const Place& a, const Place& b) { return a.layer == b.layer && a.head == b.head; });
  if (!same_heads) return words + "it has other layers and heads, which are not compared one by one\n";
  const auto change = [&](const Place& place) {
    return place.result->relative_entropy.value() -
           baseline.result.layers[place.layer].heads[place.head].relative_entropy.value();
  };
  sort_by(now, [&](const Place& place) { return -std::abs(change(place)); });
  rows = {{"layer", "head", "relative entropy", "baseline", "first token seen", "baseline"}};
  constexpr std::size_t kChanged = 5;
  for (const Place& place : now) {
    if (rows.size() > kChanged || !(std::abs(change(place)) > 0.0)) break;
    const audit::HeadResult& old = baseline.result.layers[place.layer].heads[place.head];
    rows.push_back({fmt::format("{}", place.layer), fmt::format("{}", place.head),
                    percent(place.result->relative_entropy), percent(old.relative_entropy),
                    percent(place.result->first_visible_key), percent(old.first_visible_key)});
  }
  if (rows.size() == 1) return words + "no head's entropy changed\n";
  return words + "heads whose entropy changed most:\n" + aligned_table(rows);
}

}  // namespace polariscope::cli
