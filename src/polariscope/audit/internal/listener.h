// Takes down what a forward pass shows.
#pragma once

#include "polariscope/audit/audit.h"
#include "polariscope/audit/internal/row_measures.h"
#include "polariscope/models/pretrained/forward_observer.h"
#include "polariscope/models/pretrained/token_batch.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace polariscope::audit {

template <class T>
class Listener : public models::ForwardObserver<T> {
 public:
  // result: layers and their heads are there, to be added to. keys: AuditOptions::keys. threads: 0: one a processor.
  Listener(const models::Description& model, bool keys, int threads, AuditResult& result);

  // The next batch, whose first text is number `first_text` of all. layer_done: called after each layer, of the
  // embedding too.
  void begin(const models::TokenBatch& texts, std::int64_t first_text, std::function<void()> layer_done);
  // After the last batch: what is of all texts together.
  void finish();

  void before_attention(std::int64_t layer, std::int64_t text, attention::AttentionOutput<T>& to) override;
  void attended(std::int64_t layer, std::int64_t text, const attention::AttentionInput<T>& input,
                const attention::AttentionOutput<T>& output) override;
  void hidden(std::int64_t layers, const models::Rows<T>& x) override;
  void output(const models::Rows<T>& x) override;

 private:
  void keep_rows(std::int64_t layer, std::int64_t text, std::int64_t head, std::int64_t length);
  void keep_norms(std::int64_t text, std::int64_t layers, const std::vector<double>& norms);

  const models::Description& model_;
  bool keys_;
  int threads_;
  AuditResult& result_;
  const models::TokenBatch* texts_ = nullptr;
  std::int64_t first_text_ = 0;
  std::function<void()> layer_done_;
  MeasuredRows<T> rows_;                                    // of one text in one layer
  std::vector<std::vector<std::vector<TextMeans>>> means_;  // [layers][heads][texts]
};

}  // namespace polariscope::audit
