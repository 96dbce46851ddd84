#include "polariscope/train/gradient_buckets.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <ranges>
#include <utility>

namespace polariscope::train {
namespace {

constexpr std::int64_t kNumbers = 1 << 20;  // of a bucket at least: 4 MiB hide the cost of a call

class Hook final : public torch::autograd::FunctionPostHook {
 public:
  explicit Hook(std::function<void()> act) : act_(std::move(act)) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    act_();
    return outputs;
  }

 private:
  std::function<void()> act_;
};

}  // namespace

// From the last parameter to the first, as the backward pass comes by them.
GradientBuckets::GradientBuckets(models::Parameters& parameters, Ranks& ranks)
    : parameters_(parameters), ranks_(ranks) {
  std::int64_t end = parameters.values().numel();
  buckets_.push_back({end, 0, 0, 0});
  for (const models::ParameterSpec& spec : parameters.specs() | std::views::reverse) {
    if (!spec.trained) continue;
    const at::Tensor& leaf = parameters.tensor(spec.names.front());
    if (buckets_.back().count >= kNumbers) buckets_.push_back({buckets_.back().first, 0, 0, 0});
    Bucket& bucket = buckets_.back();
    bucket.first -= leaf.numel();
    bucket.count += leaf.numel();
    ++bucket.parameters;
    const std::size_t number = buckets_.size() - 1;
    nodes_.push_back(torch::autograd::impl::grad_accumulator(leaf));
    nodes_.back()->add_post_hook(std::make_unique<Hook>([this, number] { arrived(number); }));
  }
}

void GradientBuckets::begin() {
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters;
  next_ = 0;
  active_ = true;
}

void GradientBuckets::arrived(std::size_t bucket) {
  if (!active_) return;
  --buckets_[bucket].missing;
  start_ready();
}

void GradientBuckets::start_ready() {
  for (; next_ < buckets_.size() && buckets_[next_].missing <= 0; ++next_) {
    ranks_.start_sum(parameters_.gradients().narrow(0, buckets_[next_].first, buckets_[next_].count));
  }
}

void GradientBuckets::end() {
  active_ = false;
  // Those that no loss depended on.
  for (Bucket& bucket : buckets_) bucket.missing = 0;
  start_ready();
  ranks_.wait();
}

}  // namespace polariscope::train
