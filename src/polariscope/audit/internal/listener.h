// Takes down what a forward pass shows.
#pragma once

#include "polariscope/audit/audit.h"
#include "polariscope/models/pretrained/forward_observer.h"
#include "polariscope/models/pretrained/token_batch.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace polariscope::audit {

template <class T>
class Listener : public models::ForwardObserver<T> {
 public:
  // result: layers and their heads are there, to be added to. threads: 0: one a processor.
  Listener(const models::Description& model, int threads, AuditResult& result)
      : model_(model), threads_(threads), result_(result) {}

  // The next batch, whose first text is number `first_text` of all. layer_done: called after each layer, of the
  // embedding too.
  void begin(const models::TokenBatch& texts, std::int64_t first_text, std::function<void()> layer_done);

  attention::RowStatistics<T> row_statistics(std::int64_t layer, std::int64_t text) override;
  void attended(std::int64_t layer, std::int64_t text, const attention::AttentionInput<T>& input) override;
  void hidden(std::int64_t layers, const models::Rows<T>& x) override;
  void output(const models::Rows<T>& x) override;

 private:
  void keep_rows(std::int64_t layer, std::int64_t text, std::int64_t head, std::int64_t length);
  void keep_norms(std::int64_t layers, const std::vector<double>& norms);

  const models::Description& model_;
  int threads_;
  AuditResult& result_;
  const models::TokenBatch* texts_ = nullptr;
  std::int64_t first_text_ = 0;
  std::function<void()> layer_done_;
  // Of one text in one layer, [heads, tokens]
  std::vector<T> entropy_, row_sum_, maximum_, first_key_, first_visible_key_;
  std::vector<std::int32_t> visible_;
};

}  // namespace polariscope::audit
