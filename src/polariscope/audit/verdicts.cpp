#include "polariscope/audit/verdicts.h"

#include "polariscope/audit/summary.h"
#include "polariscope/base/terminal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace polariscope::audit {
namespace {

using report::Remark;

std::string percent(double share) { return significant(100.0 * share, share < 0.1 ? 2 : 3) + " %"; }

// "more" or "less", for people: a loss that moves.
std::string nats(double change) {
  return fmt::format("{} nats per token {}", significant(std::abs(change), 2), change < 0.0 ? "less" : "more");
}

std::string counted(std::int64_t count, const char* one, const char* more) {
  return fmt::format("{} {}", count, count == 1 ? one : more);
}

// "layer 4", "layers 3 to 9, 11 and 14 to 20".
std::string in_words(const std::vector<std::int64_t>& layers) {
  std::vector<std::string> spans;
  for (std::size_t begin = 0, end = 0; begin < layers.size(); begin = end) {
    end = begin + 1;
    while (end < layers.size() && layers[end] == layers[end - 1] + 1) ++end;
    spans.push_back(end - begin == 1 ? fmt::format("{}", layers[begin])
                                     : fmt::format("{} to {}", layers[begin], layers[end - 1]));
  }
  std::string words = layers.size() == 1 ? "layer " : "layers ";
  for (std::size_t i = 0; i < spans.size(); ++i) {
    words += (i == 0 ? "" : i + 1 == spans.size() ? " and " : ", ") + spans[i];
  }
  return words;
}

struct Place {
  std::int64_t layer, head;
  const HeadResult* found;

  std::string in_words() const { return fmt::format("layer {}, head {}", layer, head); }
};

std::vector<std::int64_t> layers_of(const std::vector<Place>& places) {
  std::vector<std::int64_t> layers;
  for (const Place& place : places) {
    if (layers.empty() || layers.back() != place.layer) layers.push_back(place.layer);
  }
  return layers;
}

// Those of which rows were seen: an interrupt may have come before others.
std::vector<Place> heads_of(const AuditRecord& record) {
  std::vector<Place> places;
  for (std::int64_t l = 0; l < std::ssize(record.result.layers); ++l) {
    const std::vector<HeadResult>& heads = record.result.layers[l].heads;
    for (std::int64_t h = 0; h < std::ssize(heads); ++h) {
      if (heads[h].entropy.count() > 0) places.push_back({l, h, &heads[h]});
    }
  }
  return places;
}

// Nothing that follows is more than this says.
std::optional<Remark> interruption(const AuditRecord& record, const std::vector<Place>& heads) {
  if (!record.result.interrupted) return std::nullopt;
  const std::size_t layers = layers_of(heads).size(), all = record.result.layers.size();
  return Remark{
      .notable = true,
      .text = fmt::format(
          "The audit was interrupted: {} of {} texts were finished{}, and what was to come after them is missing.",
          record.result.texts.size(), record.given_texts,
          layers < all ? fmt::format(", {} of {} layers were reached", layers, all) : ""),
      .criterion = "All else is of what was seen.",
      .evidence = ""};
}

std::optional<Remark> long_texts(const AuditRecord& record) {
  std::int64_t longest = 0;
  for (const TextResult& text : record.result.texts) longest = std::max(longest, text.tokens);
  if (record.context == 0 || longest <= record.context) return std::nullopt;
  return Remark{.notable = true,
                .text = fmt::format("Texts have up to {} tokens, more than the {} that the model was made for.",
                                    longest, record.context),
                .criterion = "By its config: positions beyond are new to it.",
                .evidence = ""};
}

std::vector<Place> those(std::vector<Place> places, const std::function<bool(const HeadResult&)>& are) {
  std::erase_if(places, [&](const Place& place) { return !are(*place.found); });
  return places;
}

// Of the places, that with the largest finite number.
template <class Of>
const Place* largest(const std::vector<Place>& places, const Of& of) {
  const Place* best = nullptr;
  for (const Place& place : places) {
    if (std::isfinite(of(place)) && (best == nullptr || of(place) > of(*best))) best = &place;
  }
  return best;
}

double first_key(const Place& place) { return place.found->first_visible_key.value(); }
double relative_entropy(const Place& place) { return place.found->relative_entropy.value(); }

// What taking the sinks of a layer (-1: of all) away adds to the loss.
std::optional<double> cost_without_sinks(const AuditRecord& record, std::int64_t layer) {
  if (!record.costs) return std::nullopt;
  const auto found = std::ranges::find(record.costs->sinks, layer, &Intervention::layer);
  if (found == record.costs->sinks.end()) return std::nullopt;
  const double cost = found->nll - record.costs->nll;
  return std::isfinite(cost) ? std::optional(cost) : std::nullopt;
}

// The layer with the most sinks; of several such ones the one whose sinks take most.
std::string strongest_layer(const AuditRecord& record, const std::vector<Place>& sinks) {
  std::int64_t best = -1, most = 0;
  double best_share = 0.0, flat = 0.0;
  for (const std::int64_t layer : layers_of(sinks)) {
    metrics::Mean share, flat_share;
    for (const Place& place : sinks) {
      if (place.layer != layer) continue;
      share.add(first_key(place));
      flat_share.add(place.found->flat_share.value());
    }
    if (share.count() < most || (share.count() == most && share.value() <= best_share)) continue;
    best = layer;
    most = share.count();
    best_share = share.value();
    flat = flat_share.value();
  }
  std::string words =
      fmt::format("In layer {}, {} of {} heads {} {} of {} attention on it, where equal weights would give {}", best,
                  most, record.result.layers[best].heads.size(), most == 1 ? "keeps" : "keep", percent(best_share),
                  most == 1 ? "its" : "their", percent(flat));
  if (const auto cost = cost_without_sinks(record, best)) {
    words += fmt::format("; without what it adds there the loss is {}", nats(*cost));
  }
  return words + ".";
}

// ", in one layer alone at most … (layer 3)"
std::string costliest_layer(const AuditRecord& record) {
  double most = 0.0;
  std::int64_t where = -1;
  for (const Intervention& of : record.costs->sinks) {
    const double cost = of.nll - record.costs->nll;
    if (of.layer < 0 || !(cost > most)) continue;
    most = cost;
    where = of.layer;
  }
  return where < 0 ? "" : fmt::format(", in one layer alone at most {} (layer {})", nats(most), where);
}

Remark sinks(const AuditRecord& record, const std::vector<Place>& heads) {
  const std::vector<Place> found = those(heads, is_sink);
  Remark remark{.notable = !found.empty(),
                .text = {},
                .criterion = fmt::format("A sink: a head whose rows give the first token that they see more than {} on "
                                         "average (Gu et al. 2024), and more than twice what equal weights would.",
                                         kSinkShare),
                .evidence = "heads/sinks"};
  if (found.empty()) {
    const Place* most = largest(heads, first_key);
    remark.text = "No head is a sink.";
    if (most != nullptr) {
      remark.text += fmt::format(
          " The first token seen gets at most {} of a head's attention ({}), where equal weights would give {}.",
          percent(first_key(*most)), most->in_words(), percent(most->found->flat_share.value()));
    }
    return remark;
  }
  remark.text =
      fmt::format("{} of {} heads {} a sink of the first token that they see, in {}. {}", found.size(), heads.size(),
                  found.size() == 1 ? "is" : "are", in_words(layers_of(found)), strongest_layer(record, found));
  if (const auto cost = cost_without_sinks(record, -1)) {
    remark.text += fmt::format(" Without it in all layers the loss is {}{}.", nats(*cost), costliest_layer(record));
  }
  return remark;
}

// At the sinks' first keys: a short value says that attention goes there to do nothing.
std::optional<Remark> values_at_sinks(const std::vector<Place>& heads) {
  const std::vector<Place> found = those(heads, is_sink);
  const auto shorter =
      std::ranges::count_if(found, [](const Place& place) { return place.found->first_value_ratio.value() < 0.5; });
  if (shorter == 0) return std::nullopt;
  return Remark{
      .notable = false,
      .text = fmt::format(
          "In {} the first token's value is less than half as long as the median of its text's: looking there adds "
          "little.",
          shorter == std::ssize(found) ? "all sinks" : fmt::format("{} of the {} sinks", shorter, found.size())),
      .criterion = "‖v‖ of the first token over the median of its text (Guo et al. 2024, Gu et al. 2024).",
      .evidence = "heads/all"};
}

std::optional<Remark> later_sinks(const AuditRecord& record, const std::vector<Place>& heads) {
  std::int64_t count = 0;
  const Place* where = nullptr;
  SinkKey strongest{0, 0, 0.0};
  for (const Place& place : heads) {
    bool later = false;
    for (const SinkKey& key : place.found->sinks) {
      if (key.token == 0) continue;
      later = true;
      if (key.share > strongest.share) {
        strongest = key;
        where = &place;
      }
    }
    count += later ? 1 : 0;
  }
  if (where == nullptr) return std::nullopt;
  return Remark{
      .notable = true,
      .text = fmt::format("{} also gather{} on tokens that are not the first: {} gets {} in {}.",
                          counted(count, "head", "heads"), count == 1 ? "s" : "",
                          token_in_words(record, strongest.text, strongest.token), percent(strongest.share),
                          where->in_words()),
      .criterion = fmt::format("A key, at any place, with a mean weight above {} over the rows that see it, {} rows at "
                               "least (Gu et al. 2024).",
                               kSinkShare, kSinkRows),
      .evidence = "heads/all"};
}

bool measures_entropy(const std::vector<Place>& heads) {
  return std::ranges::any_of(heads, [](const Place& place) { return place.found->relative_entropy.count() > 0; });
}

Remark collapse(const std::vector<Place>& heads) {
  const std::vector<Place> found = those(heads, is_collapsed);
  Remark remark{.notable = !found.empty(),
                .text = {},
                .criterion = fmt::format("Collapsed: rows have on average less than {} of the entropy ln n that n "
                                         "visible keys allow.",
                                         kCollapsedEntropy),
                .evidence = "heads/maps"};
  const Place* least = largest(heads, [](const Place& place) { return -relative_entropy(place); });
  if (found.empty()) {
    remark.text = measures_entropy(heads) ? "No head has collapsed."
                                          : "Whether heads have collapsed is not known: no row sees two tokens.";
    if (least != nullptr) {
      remark.text += fmt::format(" The least entropy is {} of what there could be ({}).",
                                 percent(relative_entropy(*least)), least->in_words());
    }
    return remark;
  }
  const auto onto_first = std::ranges::count_if(found, [](const Place& place) { return is_sink(*place.found); });
  const std::string first = onto_first == std::ssize(found) ? "all" : fmt::format("{} of them", onto_first);
  remark.text = fmt::format(
      "{} of {} heads {} collapsed onto few tokens, in {}; {} onto the first. Farthest gone is {} with {} of the "
      "entropy "
      "that there could be.",
      found.size(), heads.size(), found.size() == 1 ? "has" : "have", in_words(layers_of(found)), first,
      least->in_words(), percent(relative_entropy(*least)));
  return remark;
}

std::optional<Remark> flatness(const std::vector<Place>& heads) {
  if (!measures_entropy(heads)) return std::nullopt;
  const std::vector<Place> found =
      those(heads, [](const HeadResult& head) { return head.relative_entropy.value() > kFlatEntropy; });
  return Remark{.notable = false,
                .text = found.empty() ? "No head looks at all tokens alike."
                                      : fmt::format("{} of {} heads look at all tokens nearly alike, in {}.",
                                                    found.size(), heads.size(), in_words(layers_of(found))),
                .criterion = fmt::format("Mean relative entropy above {}.", kFlatEntropy),
                .evidence = "heads/maps"};
}

Remark massive(const AuditRecord& record) {
  std::vector<std::int64_t> layers;
  std::int64_t where = -1;
  const LargeActivation* most = nullptr;
  for (std::int64_t l = 0; l < std::ssize(record.result.layers); ++l) {
    const LayerResult& layer = record.result.layers[l];
    if (layer.massive > 0) layers.push_back(l);
    if (layer.largest.empty() || (most != nullptr && std::abs(layer.largest[0].value) <= std::abs(most->value)))
      continue;
    most = layer.largest.data();
    where = l;
  }
  Remark remark{.notable = !layers.empty(),
                .text = layers.empty() ? "No activation is massive." : "",
                .criterion =
                    "Massive: |x| of the residual stream above 100 and at least 1,000 times the median of its "
                    "layer and text (Sun et al. 2024).",
                .evidence = "layers/massive"};
  if (!layers.empty())
    remark.text = fmt::format("The residual stream has massive activations after {}.", in_words(layers));
  if (most != nullptr) {
    remark.text += fmt::format(" The largest is {}, {} times the median, after layer {} at {}, channel {}.",
                               significant(most->value), significant(most->ratio, 2), where,
                               token_in_words(record, most->text, most->token), most->channel);
  }
  return remark;
}

std::optional<Remark> logits(const std::vector<Place>& heads) {
  const Place* most = largest(heads, [](const Place& place) { return place.found->largest_logit; });
  if (most == nullptr) return std::nullopt;
  const double logit = most->found->largest_logit;
  Remark remark{.notable = logit >= kCoarseLogit,
                .text = fmt::format("The largest logit is {} ({}).", significant(logit, 3), most->in_words()),
                .criterion = fmt::format("Worth notice from {} on, where the numbers of bfloat16, of 8 bits, are half "
                                         "a nat apart.",
                                         kCoarseLogit),
                .evidence = "heads/all"};
  if (remark.notable) {
    const double apart = std::ldexp(1.0, std::ilogb(logit) - 7);
    remark.text += fmt::format(
        " In bfloat16 its neighbours are {} apart: weights there are off by a factor of up to "
        "{}.",
        significant(apart, 2), significant(std::exp(0.5 * apart), 2));
  }
  return remark;
}

std::optional<Remark> induction(const AuditRecord& record) {
  std::int64_t count = 0, layer = -1, head = -1;
  double best = -1.0;
  for (std::int64_t l = 0; l < std::ssize(record.scores); ++l) {
    for (std::int64_t h = 0; h < std::ssize(record.scores[l]); ++h) {
      const double score = record.scores[l][h].induction;
      count += score > kInductionScore ? 1 : 0;
      if (!(score > best)) continue;
      best = score;
      layer = l;
      head = h;
    }
  }
  if (record.scores.empty()) return std::nullopt;
  if (layer < 0) {
    return Remark{.notable = false,
                  .text = "Whether heads are ones of induction is not known: windows hide what is repeated.",
                  .criterion = "Mean weight on the key after a token's first place, over random tokens said twice.",
                  .evidence = "heads/all"};
  }
  return Remark{.notable = false,
                .text = fmt::format("{} of induction; the strongest, layer {}, head {}, gives {} to what followed the "
                                    "same token before.",
                                    count == 0 ? "No head is one" : counted(count, "head is one", "heads are ones"),
                                    layer, head, percent(best)),
                .criterion = fmt::format("Mean weight above {} on the key after a token's first place, over random "
                                         "tokens said twice (Olsson et al. 2022).",
                                         kInductionScore),
                .evidence = "heads/all"};
}

std::optional<Remark> costly_heads(const AuditRecord& record) {
  if (!record.costs || record.costs->heads.empty() || !std::isfinite(record.costs->nll)) return std::nullopt;
  const Intervention& most = *std::ranges::max_element(record.costs->heads, {}, &Intervention::nll);
  constexpr double kNothing = 0.001;
  const auto spare = std::ranges::count_if(
      record.costs->heads, [&](const Intervention& of) { return of.nll - record.costs->nll < kNothing; });
  return Remark{.notable = false,
                .text = fmt::format("Taking one head away costs most in layer {}, head {}: the loss is {}. {} of {} "
                                    "heads can each be spared for less than {} nats.",
                                    most.layer, most.head, nats(most.nll - record.costs->nll), spare,
                                    record.costs->heads.size(), kNothing),
                .criterion = "Loss with the head's output zero, one at a time, less the loss as it is.",
                .evidence = "costs/heads"};
}

// Against the first of the list, which is the model as it is.
std::optional<Remark> variations(const std::vector<Variation>& variations, const char* text, const char* criterion,
                                 const char* evidence) {
  if (variations.size() < 2 || !std::isfinite(variations[0].nll)) return std::nullopt;
  std::vector<std::string> words;
  for (std::size_t i = 1; i < variations.size(); ++i) {
    words.push_back(fmt::format("with {} {}", variations[i].name, nats(variations[i].nll - variations[0].nll)));
  }
  const bool gains =
      std::ranges::any_of(variations, [&](const Variation& of) { return of.nll < variations[0].nll - 0.01; });
  return Remark{
      .notable = gains,
      .text = fmt::format("{} {} nats per token; {}.", text, significant(variations[0].nll), fmt::join(words, ", ")),
      .criterion = criterion,
      .evidence = evidence};
}

}  // namespace

std::vector<Remark> verdicts(const AuditRecord& record) {
  const std::vector<Place> heads = heads_of(record);
  std::vector<Remark> all;
  const auto add = [&all](std::optional<Remark> remark) {
    if (remark) all.push_back(std::move(*remark));
  };
  add(interruption(record, heads));
  if (heads.empty()) return all;
  add(long_texts(record));
  add(sinks(record, heads));
  add(values_at_sinks(heads));
  add(later_sinks(record, heads));
  add(collapse(heads));
  add(flatness(heads));
  add(massive(record));
  add(logits(heads));
  add(variations(record.first_tokens, "With no token before them the texts cost",
                 "The same tokens predicted after another first token; worth notice where one gains 0.01 nats.",
                 "first-tokens/all"));
  add(variations(record.what_if, "As it is the model's loss is",
                 "The same weights with other attention, not trained for it; worth notice where one gains 0.01 nats.",
                 "what-if/all"));
  add(costly_heads(record));
  add(induction(record));
  std::ranges::stable_partition(all, &Remark::notable);
  return all;
}

}  // namespace polariscope::audit
