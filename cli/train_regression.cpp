#include "train_regression.h"

#include "polariscope/base/error.h"
#include "settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace polariscope::cli {
namespace {

constexpr std::array<std::string_view, 3> kOfRegressionAlone{"layer-form", "qk-norm", "steps"};
constexpr std::array<std::string_view, 9> kShared{
    "task", "attention", "layers", "sequence-length", "batch", "learning-rate", "momentum", "optimiser", "seed"};
constexpr std::array<std::string_view, 7> kOfAnyRun{"help",    "file", "out", "quiet", "threads", "checkpoint-every",
                                                    "on-alarm"};

template <class Names>
bool is_among(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// The command's options, with the task's defaults.
class Given {
 public:
  explicit Given(CLI::App& command) : command_(command) {}

  std::string text(const char* name, const std::string& otherwise) {
    CLI::Option* option = command_.get_option(name);
    option->default_str(otherwise);
    return option->count() > 0 ? option->as<std::string>() : otherwise;
  }
  double real(const char* name, double otherwise) {
    CLI::Option* option = command_.get_option(name);
    option->default_str(fmt::format("{}", otherwise));
    return option->count() > 0 ? option->as<double>() : otherwise;
  }
  std::int64_t whole(const char* name, std::int64_t otherwise, double least) {
    return whole_number(name, real(name, static_cast<double>(otherwise)), least);
  }

 private:
  CLI::App& command_;
};

}  // namespace

train::RegressionOptions regression_options(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    const std::string name = option->get_single_name();
    if (is_among(kOfRegressionAlone, name) || is_among(kShared, name) || is_among(kOfAnyRun, name)) continue;
    if (option->count() > 0) {
      throw Error("--{} has no meaning for {}, whose options are --{}, --{}: leave it out", name, kRegressionTask,
                  fmt::join(kShared, ", --"), fmt::join(kOfRegressionAlone, ", --"));
    }
    option->default_str("");
  }
  Given given(command);
  const std::string optimiser = given.text("--optimiser", "sgd");
  if (optimiser != "sgd") throw Error("{} trains with the optimiser sgd, found {}", kRegressionTask, optimiser);
  train::RegressionOptions o;
  o.attention = given.text("--attention", o.attention);
  o.layer_form = given.text("--layer-form", o.layer_form);
  o.qk_norm = given.text("--qk-norm", o.qk_norm);
  o.layers = given.whole("--layers", o.layers, 1);
  o.tokens = given.whole("--sequence-length", o.tokens, 2);
  o.steps = given.whole("--steps", o.steps, 1);
  o.batch = given.whole("--batch", o.batch, 1);
  o.learning_rate = given.real("--learning-rate", o.learning_rate);
  o.momentum = given.real("--momentum", o.momentum);
  o.seed = static_cast<std::uint64_t>(given.whole("--seed", 0, 0));
  validate(o);
  return o;
}

void refuse_regression_options(const CLI::App& command, const std::string& task) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() > 0 && is_among(kOfRegressionAlone, option->get_single_name())) {
      throw Error("{} is of the task {}, not of {}", option->get_name(), kRegressionTask, task);
    }
  }
}

}  // namespace polariscope::cli
