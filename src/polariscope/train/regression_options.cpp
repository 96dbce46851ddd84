#include "polariscope/train/regression_options.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <algorithm>
#include <limits>

namespace polariscope::train {
namespace {

void require_positive(const char* what, std::int64_t found) {
  if (found < 1) throw Error("{} must be positive, found {}", what, found);
}

// The model says what is too much.
int as_int(std::int64_t number) {
  return static_cast<int>(std::clamp<std::int64_t>(number, 0, std::numeric_limits<int>::max()));
}

}  // namespace

RegressionOptions regression_options(const runs::Settings& settings) {
  RegressionOptions o;
  settings.read("attention", o.attention);
  settings.read("layer_form", o.layer_form);
  settings.read("qk_norm", o.qk_norm);
  settings.read("causal", o.causal);
  settings.read("layers", o.layers);
  settings.read("sequence_length", o.tokens);
  settings.read("steps", o.steps);
  settings.read("batch", o.batch);
  settings.read("optimiser", o.optimiser);
  settings.read("learning_rate", o.learning_rate);
  settings.read("weight_decay", o.weight_decay);
  settings.read("momentum", o.momentum);
  settings.read("seed", o.seed);
  return o;
}

models::AttentionOnlyOptions model_of(const RegressionOptions& o) {
  return {.attention = o.attention,
          .layer_form = models::find_layer_form(o.layer_form),
          .qk_norm = models::find_qk_norm(o.qk_norm),
          .layers = as_int(o.layers),
          .tokens = as_int(o.tokens),
          .causal = o.causal};
}

void validate(const RegressionOptions& o) {
  const models::AttentionOnly<float> model(model_of(o));
  require_positive("number of steps", o.steps);
  require_positive("batch", o.batch);
  constexpr std::int64_t kMostBatch = 10'000'000;
  if (o.batch > kMostBatch) throw Error("batch must be at most {}, found {}", kMostBatch, o.batch);
  const std::vector<std::string_view>& known = runs::find_option(runs::options(), "optimiser")->choices;
  if (std::ranges::find(known, o.optimiser) == known.end()) {
    throw Error("{}", unknown_name("optimiser", o.optimiser, known));
  }
  if (!(o.learning_rate > 0.0)) throw Error("learning rate must be positive, found {}", o.learning_rate);
  if (!(o.momentum >= 0.0 && o.momentum < 1.0)) throw Error("SGD's momentum must be in [0, 1), found {}", o.momentum);
  if (!(o.weight_decay >= 0.0)) throw Error("AdamW's weight decay must be at least 0, found {}", o.weight_decay);
}

}  // namespace polariscope::train
