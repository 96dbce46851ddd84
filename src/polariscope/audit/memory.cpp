#include "polariscope/audit/memory.h"

#include "polariscope/audit/internal/batches.h"
#include "polariscope/base/error.h"
#include "polariscope/base/memory.h"
#include "polariscope/base/parallel.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope::audit {
namespace {

constexpr double kBesides = 48.0 * (1 << 20);  // the program, its libraries and its threads' stacks
constexpr double kOfThread = 12.0 * (1 << 20);

// Numbers of one layer.
struct Numbers {
  double weights = 0.0, of_row = 0.0, measured = 0.0;  // measured: of each row of a text
};

Numbers numbers_of(const models::Description& model, const models::LayerDescription& layer) {
  const models::AttentionDescription& of = layer.attention;
  const auto width = static_cast<double>(model.width);
  const auto queries = static_cast<double>(of.heads * of.query_width),
             keys = static_cast<double>(of.key_heads * of.query_width),
             values = static_cast<double>(of.key_heads * of.value_width),
             attended = static_cast<double>(of.heads * of.value_width);
  const models::FeedForwardDescription& units = layer.feed_forward;
  const double up_and_down = (units.gated ? 3.0 : 2.0) * width * static_cast<double>(units.width);
  Numbers numbers{.weights = width * (queries + keys + values + attended) + up_and_down,
                  .of_row = width + queries + keys + values + attended};
  if (units.experts) {
    numbers.weights += up_and_down;  // the shared one
    numbers.of_row += 2.0 * width + static_cast<double>(units.experts->count);
  }
  constexpr double kStatistics = 16.0;
  numbers.measured = kStatistics * static_cast<double>(of.heads);
  return numbers;
}

}  // namespace

double pass_bytes(const models::Description& model, std::int64_t rows, std::int64_t longest,
                  const AuditOptions& options) {
  Numbers most;
  for (const models::LayerDescription& layer : model.layers) {
    const Numbers numbers = numbers_of(model, layer);
    most.weights = std::max(most.weights, numbers.weights);
    most.of_row = std::max(most.of_row, numbers.of_row);
    most.measured = std::max(most.measured, numbers.measured);
  }
  constexpr double kVocabularyBlock = 2048.0;
  const double number = options.precision == Precision::kFloat64 ? sizeof(double) : sizeof(float);
  const double weight = options.precision == Precision::kBfloat16 ? 2.0 : number;
  const int threads = options.threads > 0 ? options.threads : processor_count();
  return kBesides + kOfThread * threads +
         weight * (most.weights + kVocabularyBlock * static_cast<double>(model.width)) +
         number * most.of_row * static_cast<double>(rows) + number * most.measured * static_cast<double>(longest);
}

std::int64_t batch_tokens(const models::Description& model, Texts texts, const AuditOptions& options) {
  std::int64_t longest = 0;
  for (const std::vector<std::int32_t>& text : texts) longest = std::max<std::int64_t>(longest, std::ssize(text));
  const auto fits = [&](std::int64_t rows, std::int64_t tokens) {
    return pass_bytes(model, rows, tokens, options) <= static_cast<double>(options.memory);
  };
  require_memory(pass_bytes(model, longest, longest, options), fmt::format("texts of {} tokens", longest));
  std::int64_t rows = std::max(longest, kBatchTokens);
  if (options.memory == 0) return rows;
  while (rows > longest && !fits(rows, longest)) rows = std::max(longest, rows / 2);
  if (fits(rows, longest)) return rows;
  std::int64_t fitting = longest;
  while (fitting > 0 && !fits(fitting, fitting)) fitting = fitting * 9 / 10;
  constexpr double kGiB = 1 << 30;
  throw Error("a text of {} tokens needs {:.2g} GiB in this model and {:.2g} are allowed: {}", longest,
              pass_bytes(model, longest, longest, options) / kGiB, static_cast<double>(options.memory) / kGiB,
              fitting > 0 ? fmt::format("cut the texts after {} tokens", fitting)
                          : fmt::format("one token needs {:.2g}", pass_bytes(model, 1, 1, options) / kGiB));
}

}  // namespace polariscope::audit
