#include "polariscope/audit/summary.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/base/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

namespace polariscope::audit {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::string_view kChange = "change_in_";

// Of a head of which no row was seen there is nothing to say: an interrupt came before.
double share(const HeadResult& head, bool (*is)(const HeadResult&)) {
  return head.entropy.count() == 0 ? kNone : is(head) ? 1.0 : 0.0;
}

template <class Of>
double mean_of_heads(const AuditResult& result, const Of& of) {
  metrics::Mean mean;
  for (const LayerResult& layer : result.layers) {
    for (const HeadResult& head : layer.heads) mean.add(of(head));
  }
  return mean.value();
}

// NaN and infinities are no candidates.
template <class Of>
double largest_of_layers(const AuditResult& result, const Of& of) {
  double largest = kNone;
  for (const LayerResult& layer : result.layers) {
    const double value = of(layer);
    if (std::isfinite(value) && !(value <= largest)) largest = value;
  }
  return largest;
}

double largest_logit(const LayerResult& layer) {
  double largest = kNone;
  for (const HeadResult& head : layer.heads) {
    if (std::isfinite(head.largest_logit) && !(head.largest_logit <= largest)) largest = head.largest_logit;
  }
  return largest;
}

const std::array kScalars{
    Scalar{"loss", "mean of -ln p over the tokens predicted, nats",
           [](const AuditResult& result) { return result.nll.value(); }},
    Scalar{"relative_entropy", "mean over heads",
           [](const AuditResult& result) {
             return mean_of_heads(result, [](const HeadResult& head) { return head.relative_entropy.value(); });
           }},
    Scalar{"collapsed_heads", "share of heads with relative entropy below 0.1",
           [](const AuditResult& result) {
             return mean_of_heads(result, [](const HeadResult& head) { return share(head, is_collapsed); });
           }},
    Scalar{"sink_heads", "share of heads with more than 0.3 on the first key seen, and twice what flat rows give",
           [](const AuditResult& result) {
             return mean_of_heads(result, [](const HeadResult& head) { return share(head, is_sink); });
           }},
    Scalar{"sink_share", "weight on the first key seen, mean over heads",
           [](const AuditResult& result) {
             return mean_of_heads(result, [](const HeadResult& head) { return head.first_visible_key.value(); });
           }},
    Scalar{"sparsity", "largest weight of a row, mean over heads",
           [](const AuditResult& result) {
             return mean_of_heads(result, [](const HeadResult& head) { return head.sparsity.value(); });
           }},
    Scalar{"logit_variance", "variance of a row's logits, mean over heads",
           [](const AuditResult& result) {
             return mean_of_heads(result, [](const HeadResult& head) { return head.logit_variance.value(); });
           }},
    Scalar{"largest_logit", "of all heads and texts",
           [](const AuditResult& result) { return largest_of_layers(result, largest_logit); }},
    Scalar{"massive_layers", "share of layers with an activation above 100 and 1000 times the median",
           [](const AuditResult& result) {
             metrics::Mean mean;
             for (const LayerResult& layer : result.layers) mean.add(layer.massive > 0 ? 1.0 : 0.0);
             return mean.value();
           }},
    Scalar{"largest_activation", "largest |x| of the residual stream, all layers",
           [](const AuditResult& result) {
             return largest_of_layers(result, [](const LayerResult& layer) {
               return layer.largest.empty() ? kNone : std::abs(layer.largest.front().value);
             });
           }},
    Scalar{"kurtosis", "of the residual stream, largest of all layers",
           [](const AuditResult& result) {
             return largest_of_layers(result, [](const LayerResult& layer) { return layer.kurtosis.value(); });
           }},
};

}  // namespace

std::span<const Scalar> summary_scalars() { return kScalars; }

const Scalar& find_scalar(std::string_view name) {
  const auto found = std::ranges::find(kScalars, name, &Scalar::name);
  if (found != kScalars.end()) return *found;
  std::vector<std::string_view> known;
  for (const Scalar& scalar : kScalars) known.push_back(scalar.name);
  throw Error("{}", unknown_name("number of an audit", name, known));
}

bool is_sink(const HeadResult& head) {
  const double weight = head.first_visible_key.value();
  return weight > kSinkShare && weight > 2.0 * head.flat_share.value();
}

bool is_collapsed(const HeadResult& head) { return head.relative_entropy.value() < kCollapsedEntropy; }

Limit parsed_limit(std::string_view text) {
  const std::size_t at = text.find_first_of("<>");
  const std::size_t after = at == text.npos ? at : at + (text.substr(at + 1).starts_with('=') ? 2 : 1);
  double bound = 0.0;
  if (at != text.npos) {
    const auto [end, problem] = std::from_chars(text.data() + after, text.data() + text.size(), bound);
    if (problem == std::errc() && end == text.data() + text.size() && std::isfinite(bound)) {
      std::string_view name = text.substr(0, at);
      const bool of_change = name.starts_with(kChange);
      if (of_change) name.remove_prefix(kChange.size());
      return {&find_scalar(name), of_change, std::string(text.substr(at, after - at)), bound};
    }
  }
  throw Error("\"{}\" is no limit: expected a name, one of > >= < <=, and a number, as in \"sink_heads>0.3\"", text);
}

std::string complaint(const Limit& limit, const AuditResult& result, const AuditResult* baseline) {
  const std::string name = fmt::format("{}{}", limit.of_change ? kChange : "", limit.scalar->name);
  const double value = limit.scalar->of(result) - (limit.of_change ? limit.scalar->of(*baseline) : 0.0);
  if (std::isnan(value)) return fmt::format("{} is not there to be compared with {}", name, significant(limit.bound));
  const bool passed = limit.comparison == ">"    ? value > limit.bound
                      : limit.comparison == ">=" ? value >= limit.bound
                      : limit.comparison == "<"  ? value < limit.bound
                                                 : value <= limit.bound;
  if (!passed) return "";
  return fmt::format("{} is {}: {} {} {} was not to be", name, significant(value), name, limit.comparison,
                     significant(limit.bound));
}

}  // namespace polariscope::audit
