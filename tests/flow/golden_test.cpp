// Gradient descent against the numbers of the paper's reference code: tests/golden/README.md.
#include "polariscope/base/files.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/start_arrays.h"
#include "problems.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <numeric>
#include <set>

namespace polariscope::testing {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-9;  // the figure; a thousand times the reference's own rounding

const json& golden() {
  static const json numbers =
      json::parse(read_file(std::filesystem::path(POLARISCOPE_SOURCE_DIR) / "tests" / "golden" / "value_softmax.json"));
  return numbers;
}

// The start that an entry's `init` describes. `names` gives our key for each of the file's.
flow::Start start_from(const json& init, flow::Model model, flow::Loss loss, std::string_view reweighting,
                       const std::vector<std::pair<const char*, const char*>>& names) {
  json arrays = json::object();
  for (const auto& [ours, theirs] : names) arrays[ours] = init.at(theirs);
  const flow::StartOptions options = flow::sized_by(arrays, model, loss, flow::StartOptions{});
  flow::Start start = flow::random_start(model, loss, row(reweighting), options, 0);
  flow::apply_arrays(start, arrays, "value_softmax.json");
  return start;
}

// Descends through every step that the entry speaks of, and finds the records again by step number.
class Descent {
 public:
  Descent(const flow::Start& start, double step, const json& trajectory, std::int64_t last,
          bool singular_values = false)
      : step_(step), tokens_(start.problem.tokens) {
    std::set<std::int64_t> steps{0, last};
    for (const json& entry : trajectory) {
      steps.insert(entry["it"].get<std::int64_t>());
      steps.insert(entry["it"].get<std::int64_t>() + 1);
    }
    samples_.assign(steps.begin(), steps.end());
    trajectory_ = flow::descend(
        start.problem, start.state,
        {.step = step, .steps = last, .samples = samples_, .singular_values = singular_values, .progress = {}});
    EXPECT_EQ(trajectory_.points(), samples_.size());
  }

  const flow::Trajectory& trajectory() const { return trajectory_; }
  const flow::State& final_state() const { return trajectory_.final_state; }

  double number(const Vector& record, std::int64_t step) const { return record.at(index(step)); }
  Vector vector(const Vector& record, std::int64_t step) const {
    const auto width = record.size() / trajectory_.points();
    const auto begin = record.begin() + static_cast<std::ptrdiff_t>(index(step) * width);
    return {begin, begin + static_cast<std::ptrdiff_t>(width)};
  }

 private:
  std::size_t index(std::int64_t step) const {
    const auto found = std::lower_bound(samples_.begin(), samples_.end(), step);
    return static_cast<std::size_t>(found - samples_.begin());
  }

  double step_;
  int tokens_;
  std::vector<std::int64_t> samples_;
  flow::Trajectory trajectory_;
};

// `floor`: what rounding leaves of a number that tends to zero.
void expect_number(double found, const json& expected, std::string_view what, std::int64_t it, double floor = 0.0) {
  EXPECT_NEAR(found, expected.get<double>(), kTolerance * std::abs(expected.get<double>()) + floor)
      << what << " at it = " << it;
}

void expect_vector(const Vector& found, const json& expected, std::string_view what, std::int64_t it) {
  EXPECT_LE(relative_error(found, expected.get<Vector>()), kTolerance) << what << " at it = " << it;
}

Vector flattened(const json& rows) {
  Vector numbers;
  for (const json& row : rows) {
    const auto more = row.get<Vector>();
    numbers.insert(numbers.end(), more.begin(), more.end());
  }
  return numbers;
}

TEST(Golden, LogisticLossInEightDimensions) {
  const json& entry = golden()["logistic_dim8"];
  const flow::Start start = start_from(entry["init"], flow::Model::kValueSoftmax, flow::Loss::kLogistic, "softmax",
                                       {{"V", "V"}, {"a", "a"}, {"beta", "beta"}});
  const Descent run(start, entry["config"]["lr"], entry["traj"], entry["config"]["iters"]);
  const flow::Trajectory& t = run.trajectory();
  // "values AFTER the update of iteration index it (i.e. after it+1 GD steps)"
  for (const json& point : entry["traj"]) {
    const auto it = point["it"].get<std::int64_t>();
    expect_number(run.number(t.loss, it + 1), point["loss"], "loss", it);
    expect_vector(run.vector(t.scores, it + 1), point["a"], "a", it);
    expect_vector(run.vector(t.u, it + 1), point["u"], "u", it);
  }
  const json& last = entry["final"];
  expect_vector(run.final_state().values, json(flattened(last["V"])), "V", 1'000'000);
  expect_vector(run.final_state().scores, last["a"], "a", 1'000'000);
  expect_vector(run.vector(t.sigma, 1'000'000), last["alpha"], "alpha", 1'000'000);
  expect_number(t.loss.back(), last["loss"], "loss", 1'000'000);
  expect_number(t.entropy.back(), last["entropy_nats"], "entropy", 1'000'000);
  EXPECT_EQ(t.winner.back(), last["alpha_argmax0"].get<double>());
}

struct Comparison {
  const char* group;
  const char* normalisation;
  flow::Loss loss;
};

void PrintTo(const Comparison& one, std::ostream* out) { *out << one.group << " " << one.normalisation; }

std::string comparison_name(const ::testing::TestParamInfo<Comparison>& info) {
  return fmt::format("{}_{}", info.param.group, info.param.normalisation);
}

class GoldenComparison : public ::testing::TestWithParam<Comparison> {};

TEST_P(GoldenComparison, OfSixNormalisations) {
  const auto [group, normalisation, loss] = GetParam();
  const json& all = golden()[group];
  json init = all["init"];
  init["beta"] = all["target_beta"];
  const json& entry = all[normalisation];
  const flow::Start start =
      start_from(init, flow::Model::kValueSoftmax, loss, normalisation, {{"V", "V"}, {"a", "a"}, {"beta", "beta"}});
  const auto iters = all["config"]["iters"].get<std::int64_t>();
  const Descent run(start, all["config"]["lr"], entry["traj"], iters);
  const flow::Trajectory& t = run.trajectory();
  // Under logistic loss the scores of L1 end by jumping back and forth over 0: the file's own sensitivity
  // of a is 6e-5, that of α 3e-14.
  const bool jumps = loss == flow::Loss::kLogistic && std::string_view(normalisation) == "L1";
  // What the loss cannot be held to: residuals of the square loss round at 1e-15; the reference's logistic
  // loss is -log(sigmoid(z)), which rounds at 1e-16, and its 1e-10 beside Σa, which falls to 0.6 for Sum,
  // moves z by 2e-10 of itself.
  const auto floor = [&](double expected) {
    if (loss == flow::Loss::kSquare) return 1e-15 * std::sqrt(2.0 * expected) + 1e-29;
    const bool sum = std::string_view(normalisation) == "Sum";
    return 2.3e-16 + (sum ? kTolerance * expected * std::abs(std::log(expected)) : 0.0);
  };
  // "alpha, loss: BEFORE the update of iteration it; a: AFTER that update (as in the reference)"
  for (const json& point : entry["traj"]) {
    const auto it = point["it"].get<std::int64_t>();
    expect_number(run.number(t.loss, it), point["loss"], "loss", it, floor(point["loss"]));
    expect_vector(run.vector(t.sigma, it), point["alpha"], "alpha", it);
    if (!jumps) expect_vector(run.vector(t.scores, it + 1), point["a"], "a", it);
  }
  const json& last = entry["final"];
  expect_number(t.loss.back(), last["loss_after_last_update"], "loss", iters, floor(last["loss_after_last_update"]));
  expect_vector(run.final_state().values, json(flattened(last["V"])), "V", iters);
  expect_vector(run.vector(t.u, iters), last["u=V^T beta"], "u", iters);
  expect_vector(run.vector(t.sigma, iters), last["alpha"], "alpha", iters);
  if (!jumps) expect_vector(run.final_state().scores, last["a"], "a", iters);
}

INSTANTIATE_TEST_SUITE_P(Figure13, GoldenComparison,
                         ::testing::Values(Comparison{"compare_square", "L1", flow::Loss::kSquare},
                                           Comparison{"compare_square", "Sum", flow::Loss::kSquare},
                                           Comparison{"compare_square", "L2", flow::Loss::kSquare},
                                           Comparison{"compare_square", "Softmax", flow::Loss::kSquare},
                                           Comparison{"compare_square", "Relu", flow::Loss::kSquare},
                                           Comparison{"compare_square", "Sigmoid", flow::Loss::kSquare},
                                           Comparison{"compare_logistic", "L1", flow::Loss::kLogistic},
                                           Comparison{"compare_logistic", "Sum", flow::Loss::kLogistic},
                                           Comparison{"compare_logistic", "Softmax", flow::Loss::kLogistic},
                                           Comparison{"compare_logistic", "Sigmoid", flow::Loss::kLogistic}),
                         comparison_name);

std::string entry_name(const ::testing::TestParamInfo<const char*>& info) { return info.param; }

class GoldenTied : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTied, ModelGrowsOneColumn) {
  const json& entry = golden()["tied_U"][GetParam()];
  const double step = golden()["tied_U"]["config"]["lr"];
  const auto iters = golden()["tied_U"]["config"]["iters"].get<std::int64_t>();
  json init = entry["init"];
  const auto d = static_cast<int>(init["a"].size());
  flow::Start start = flow::random_start(flow::Model::kTied, flow::Loss::kLogistic, row("softmax"),
                                         {.outputs = d, .tokens = d, .value_scale = 0.0}, 0);  // U = I
  init["beta"] = init["target_beta"];
  init.erase("target_beta");
  flow::apply_arrays(start, init, "value_softmax.json");

  const Descent run(start, step, entry["traj"], iters);
  const flow::Trajectory& t = run.trajectory();
  // "index it stores loss, alpha BEFORE and U, a AFTER the update; U_colm_norm uses argmax of that
  // (pre-update) alpha and the post-update U"
  for (const json& point : entry["traj"]) {
    const auto it = point["it"].get<std::int64_t>();
    const Vector alpha = run.vector(t.sigma, it);
    const auto top = static_cast<int>(std::max_element(alpha.begin(), alpha.end()) - alpha.begin());
    expect_number(run.number(t.loss, it), point["loss"], "loss", it);
    expect_number(alpha[top], point["alpha_max"], "alpha_max", it);
    expect_number(run.number(t.entropy, it), point["entropy"], "entropy", it);
    EXPECT_EQ(run.number(t.winner, it), point["argmax"].get<double>()) << "it = " << it;
    const flow::State after =
        flow::descend(start.problem, start.state, {.step = step, .samples = {it + 1}, .progress = {}}).final_state;
    double square = 0.0;
    for (int i = 0; i < d; ++i) square += std::pow(after.values[i * d + top], 2);
    expect_number(std::sqrt(square), point["U_colm_norm"], "norm of the winning column", it);
  }
  const json& last = entry["final"];
  expect_number(t.loss.back(), last["loss_after_last_update"], "loss", iters);
  expect_vector(run.final_state().scores, last["a"], "a", iters);
  const int m = last["winner_m0"];
  Vector column;
  Vector norms(d);
  for (int i = 0; i < d; ++i) {
    column.push_back(run.final_state().values[i * d + m]);
    for (int j = 0; j < d; ++j) norms[j] = std::hypot(norms[j], run.final_state().values[i * d + j]);
  }
  expect_vector(column, last["U_col_m"], "winning column of U", iters);
  expect_vector(norms, last["U_col_norms"], "norms of U's columns", iters);
}

INSTANTIATE_TEST_SUITE_P(Figure11, GoldenTied, ::testing::Values("D10", "D100"), entry_name);

class GoldenCondition : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenCondition, NumberOfTheDesign) {
  const json& entry = golden()["condition_numbers"][GetParam()];
  const json& config = golden()["condition_numbers"]["config"];
  const auto iters = config["iters"].get<std::int64_t>();
  const flow::Start start = start_from(entry["init"], flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, "softmax",
                                       {{"V", "W"}, {"a", "a"}, {"beta", "beta"}, {"X", "X"}});
  const Descent run(start, config["lr"], entry["traj"], iters, true);
  const flow::Trajectory& t = run.trajectory();
  // V rounds at 1e-16 a step, which the descent forgets at a rate of 1e-3 a step: residuals are known to
  // 1e-12. The reference descends in V itself, we in the basis of X's singular vectors, with other roundings.
  const auto loss_floor = [](double loss) { return 2.0 * std::sqrt(loss) * 1e-12 + 1e-24; };
  const double gradient_floor = 1e-12 * *std::max_element(t.gradient_values.begin(), t.gradient_values.end());
  // "values AFTER the update of iteration it", except for the gradients: they are those of that update.
  for (const json& point : entry["traj"]) {
    const auto it = point["it"].get<std::int64_t>();
    expect_number(run.number(t.loss, it + 1), point["loss"], "loss", it, loss_floor(point["loss"]));
    expect_vector(run.vector(t.scores, it + 1), point["a"], "a", it);
    expect_number(run.number(t.gradient_values, it), point["gW"], "gradient of V", it, gradient_floor);
    expect_number(run.number(t.gradient_scores, it), point["ga"], "gradient of a", it, gradient_floor);
    expect_vector(run.vector(t.singular_values, it + 1), point["W_svd"], "singular values", it);
  }
  const json& last = entry["final"];
  expect_number(t.loss.back(), last["loss"], "loss", iters, loss_floor(last["loss"]));
  expect_vector(run.final_state().scores, last["a"], "a", iters);
  expect_vector(run.final_state().values, json(flattened(last["W"])), "V", iters);
  expect_vector(run.vector(t.sigma, iters), last["alpha"], "alpha", iters);
}

INSTANTIATE_TEST_SUITE_P(Figure3, GoldenCondition, ::testing::Values("kappa1", "kappa3", "kappa5"), entry_name);

// The file's V has one row a token (logits Vᵀσ(a) of one row a token: Σ_j σ_j V_j), ours one column.
TEST(Golden, CrossEntropyToATargetDistribution) {
  const json& entry = golden()["kl"];
  const auto iters = entry["config"]["iters_run"].get<std::int64_t>();
  const flow::Start start = start_from(entry["init"], flow::Model::kValueSoftmax, flow::Loss::kKl, "softmax",
                                       {{"V", "V"}, {"a", "a"}, {"p_star", "p_star"}});
  const Descent run(start, entry["config"]["lr"], entry["traj"], iters);
  const flow::Trajectory& t = run.trajectory();
  // A gradient that falls to 1e-8 of its start is a difference of probabilities near each other.
  const double floor = 1e-13;
  // "values AFTER the update of iteration it; grad norms BEFORE"
  for (const json& point : entry["traj"]) {
    const auto it = point["it"].get<std::int64_t>();
    expect_number(run.number(t.loss, it + 1), point["loss"], "loss", it);
    expect_vector(run.vector(t.scores, it + 1), point["a"], "a", it);
    expect_number(run.number(t.gradient_values, it), point["gV"], "gradient of V", it, floor);
    expect_number(run.number(t.gradient_scores, it), point["ga"], "gradient of a", it, floor);
  }
  const json& last = entry["final"];
  expect_number(t.loss.back(), last["loss_CE"], "loss", iters);
  expect_vector(run.final_state().scores, last["a"], "a", iters);
  expect_vector(run.vector(t.sigma, iters), last["alpha"], "alpha", iters);
  expect_vector(Vector(flattened(flow::values_as_rows(start.problem, run.final_state()))), json(flattened(last["V"])),
                "V", iters);
}

}  // namespace
}  // namespace polariscope::testing
