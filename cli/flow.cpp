// polariscope flow: one trajectory, or an ensemble of random ones.
#include "flow.h"

#include "commands.h"
#include "polariscope/base/files.h"
#include "polariscope/base/fingerprint.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/progress.h"
#include "polariscope/base/terminal.h"
#include "polariscope/flow/start_arrays.h"
#include "polariscope/reweighting/simd_target_name.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/runs/run_folder.h"
#include "settings.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <numeric>
#include <optional>

namespace polariscope::cli {
namespace {

void declare(CLI::App& c, FlowSettings& s) {
  c.add_option("--model", s.model, "value-softmax, reduced, rows, tied or linear")
      ->type_name("NAME")
      ->capture_default_str();
  c.add_option("--loss", s.loss, "logistic, square (½‖β − b‖²), least-squares (Σ(β − Xb)²) or kl")
      ->type_name("NAME")
      ->capture_default_str();
  c.add_option("--reweighting", s.reweighting, "as `polariscope list reweightings` names them; linear: identity")
      ->type_name("NAME")
      ->capture_default_str();
  c.add_option("--dim", s.dim, "d, rows of V; also k unless --tokens is given")->type_name("N")->capture_default_str();
  c.add_option("--tokens", s.tokens, "k, columns of V")->type_name("N");
  c.add_option("--rows", s.rows, "Rows of scores, model rows only (default 4)")->type_name("N");
  c.add_option("--seed", s.seed, "Random seed of β, V and a")->type_name("N")->capture_default_str();
  c.add_option("--init", s.init,
               "JSON object with any of V, U (rows of numbers), a, beta, X, p_star; the rest is drawn. Under kl, V has "
               "one row a token (logits Vᵀσ(a))")
      ->type_name("FILE");
  c.add_option("--value-scale", s.value_scale, "V = scale · N(0, 1) (default 0.1; least squares 1e-5; tied adds I, 0)")
      ->type_name("X");
  c.add_option("--score-scale", s.score_scale,
               "a = offset + scale · N(0, 1) (default 0; 0.1 where f(0) = 0, rows, tied)")
      ->type_name("X");
  c.add_option("--score-offset", s.score_offset, "See --score-scale (default 0; 1 where f(0) = 0, tied)")
      ->type_name("X");
  c.add_option("--condition", s.condition, "Condition number of a drawn X, least squares only")
      ->type_name("X")
      ->capture_default_str();
  c.add_option("--method", s.method, "gd: gradient descent; flow: the gradient flow, with error control")
      ->type_name("NAME")
      ->capture_default_str();
  c.add_option("--step", s.step, "Step size of gradient descent")->type_name("X")->capture_default_str();
  c.add_option("--steps", s.steps, "Steps of gradient descent")->type_name("N")->capture_default_str();
  c.add_option("--until", s.until, "Final time, up to 1e299 for the flow (default 1e6); gd: instead of --steps")
      ->type_name("T");
  c.add_option("--samples", s.samples, "Records, evenly spaced in log time")->type_name("N")->capture_default_str();
  c.add_option("--rtol", s.rtol, "Relative tolerance of the flow")->type_name("X")->capture_default_str();
  c.add_option("--solver", s.solver, "Of the flow: auto, adams or bdf")->type_name("NAME")->capture_default_str();
  c.add_option("--trajectories", s.trajectories, "How many random starts; more than 1 prints their summary")
      ->type_name("N")
      ->capture_default_str();
  c.add_flag("--check", s.check, "Check the paper's theorems along the way and print their margins");
  c.add_flag("--json", s.json, "Print one JSON object instead of a summary");
  c.add_option("--out", s.out, "Folder for trajectory.npy, trajectory.json, init.json and config.toml")
      ->type_name("FOLDER");
  c.add_option("--config", s.config, "TOML file with any of these options; the command line wins")->type_name("FILE");
  c.add_flag("--quiet", s.quiet, "No progress");
  c.footer(
      "Examples:\n"
      "  polariscope flow --steps 1e6 --check\n"
      "  polariscope flow --method flow --until 1e299\n"
      "  polariscope flow --loss least-squares --condition 5 --dim 20 --step 1e-3 --steps 3e5 --out run\n"
      "  polariscope flow --trajectories 100000 --steps 1000 --check\n"
      "  polariscope flow --init arrays.json --steps 1e4 --json | python3 -m json.tool\n"
      "In a notebook: numpy.load('run/trajectory.npy')['sigma']");
}

// Arrays the run starts from, so that --init can start it again.
nlohmann::json start_as_json(const flow::Start& start) {
  nlohmann::json object;
  const flow::Problem& p = start.problem;
  flow::State full = start.state;
  if (p.model == flow::Model::kReduced) {
    // Any V with Vᵀβ = u starts the reduced model: the one along β.
    const double square = std::inner_product(p.beta.begin(), p.beta.end(), p.beta.begin(), 0.0);
    for (double b : p.beta) {
      for (double u : full.projections) full.values.push_back(b * u / square);
    }
  }
  object[p.model == flow::Model::kTied ? "U" : "V"] = flow::values_as_rows(p, full);
  if (p.model == flow::Model::kRows) {
    for (int r = 0; r < p.rows; ++r) {
      const auto row = start.state.scores.begin() + r * p.tokens;
      object["a"].push_back(std::vector<double>(row, row + p.tokens));
    }
  } else {
    object["a"] = start.state.scores;
  }
  if (p.loss == flow::Loss::kKl) object["p_star"] = p.target;
  if (p.loss != flow::Loss::kKl) object["beta"] = p.beta;
  for (int n = 0; n < p.samples(); ++n) {
    const auto row = p.design.begin() + n * p.outputs;
    object["X"].push_back(std::vector<double>(row, row + p.outputs));
  }
  return object;
}

// What a run's config.toml says beside its options: of the file of --init not only the name, which stays where its
// numbers are edited. Its spaces and line breaks do not count.
std::string words_of_arrays(const FlowRun& run) {
  if (run.arrays.is_null()) return "";
  return fmt::format("# the arrays of init have the fingerprint {:016x}\n", fingerprint(run.arrays.dump()));
}

int run_single(FlowRun run, const flow::Start& start, const FlowSettings& settings) {
  flow::Trajectory trajectory;
  {
    ProgressBoard board(settings.quiet || settings.json ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
    // A flow's work is spread evenly over log t, not over t.
    constexpr double kTicks = 1000.0;
    Progress progress = run.flow ? board.start("flow", static_cast<std::uint64_t>(kTicks), "")
                                 : board.start("descent", static_cast<std::uint64_t>(run.descent.steps), "steps");
    const double first = run.flow ? std::log(run.integration.times[1]) : 0.0;
    const double range = run.flow ? std::log(run.integration.until) - first : 1.0;
    run.descent.progress = [&](std::int64_t done, const flow::Trajectory& t) {
      progress.update(static_cast<std::uint64_t>(done), fmt::format("loss {:.3g}", t.loss.back()));
    };
    run.integration.progress = [&](double t, const flow::Trajectory& so_far) {
      if (t > 0.0) {
        progress.update(static_cast<std::uint64_t>(kTicks * (std::log(t) - first) / range),
                        fmt::format("t = {:.3g}, loss {:.3g}", t, so_far.loss.back()));
      }
    };
    trajectory = run_one(run, start);
    progress.finish(fmt::format("loss {:.3g}", trajectory.loss.back()));
  }
  if (!settings.out.empty()) {
    write_file(std::filesystem::path(settings.out) / "init.json", start_as_json(start).dump(1) + "\n");
    flow::write_trajectory(trajectory, settings.out, {{"seed", run.seed}, {"method", settings.method}});
  }
  if (settings.json) {
    fmt::print("{}\n", as_json(run, trajectory).dump());
    return 0;
  }
  fmt::print("{}", in_words(run, trajectory, settings.check, wants_colour(stdout)));
  if (!settings.out.empty()) {
    fmt::print("trajectory: {}/trajectory.npy   repeat: polariscope flow --config {}\n", settings.out,
               shell_quoted(settings.out + "/config.toml"));
  }
  return 0;
}

int run_ensemble(const FlowRun& run, const FlowSettings& settings) {
  EnsembleSummary summary;
  {
    ProgressBoard board(settings.quiet || settings.json ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
    Progress progress = board.start("ensemble", static_cast<std::uint64_t>(run.trajectories), "trajectories");
    summary = run_many(run, [&](std::int64_t done) { progress.update(static_cast<std::uint64_t>(done)); });
    progress.finish();
  }
  if (!settings.out.empty()) {
    write_file(std::filesystem::path(settings.out) / "ensemble.json", as_json(run, summary).dump(2) + "\n");
  }
  if (settings.json) {
    fmt::print("{}\n", as_json(run, summary).dump());
  } else {
    fmt::print("{}", in_words(run, summary, settings.check, wants_colour(stdout)));
  }
  return 0;
}

}  // namespace

Command add_flow(CLI::App& app) {
  CLI::App* command = app.add_subcommand("flow", "Run the value-softmax model: gradient descent or the gradient flow");
  auto settings = std::make_shared<FlowSettings>();
  declare(*command, *settings);
  return [=] {
    require_values(*command);
    if (!settings->config.empty()) apply_config(*command, settings->config);
    require_values(*command);
    const auto given = [&](const char* option) { return command->get_option(option)->count() > 0; };
    settings->has_dim = given("--dim");
    settings->has_tokens = given("--tokens");
    settings->has_rows = given("--rows");
    settings->has_reweighting = given("--reweighting");
    settings->has_step = given("--step");
    settings->has_steps = given("--steps");
    settings->has_until = given("--until");
    settings->has_rtol = given("--rtol");
    settings->has_value_scale = given("--value-scale");
    settings->has_score_scale = given("--score-scale");
    settings->has_score_offset = given("--score-offset");
    catch_interrupts();
    const FlowRun run = plan_flow(*settings);
    const flow::Start first = start_of(run, 0);
    flow::validate(first.problem, first.state);
    std::optional<runs::RunFolder> folder;
    if (!settings->out.empty()) {
      const bool by_time = settings->has_until && !run.flow;
      std::vector<std::string_view> left_out{"out", "json", "quiet", run.flow ? "step" : "rtol",
                                             run.flow ? "steps" : "solver"};
      if (by_time) left_out.push_back("steps");
      if (!settings->has_dim && !settings->init.empty()) left_out.push_back("dim");  // the file of --init says it
      if (!settings->has_reweighting && run.model == flow::Model::kLinear) left_out.push_back("reweighting");
      folder.emplace(settings->out, config_text(*command, left_out, settings->out) + words_of_arrays(run));
      const int threads = run.trajectories == 1 ? 1 : processor_count();
      runs::record_provenance(folder->path(), runs::provenance(reweighting::simd_target_name(), threads));
    }
    return run.trajectories == 1 ? run_single(run, first, *settings) : run_ensemble(run, *settings);
  };
}

}  // namespace polariscope::cli
