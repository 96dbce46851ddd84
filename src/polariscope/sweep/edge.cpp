#include "polariscope/sweep/edge.h"

#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/runs/run_folder.h"
#include "polariscope/sweep/edge_search.h"
#include "polariscope/sweep/edge_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <optional>
#include <thread>
#include <utility>

namespace polariscope::sweep {
namespace {

namespace fs = std::filesystem;

constexpr auto kPause = std::chrono::milliseconds(10);  // between looks at the workers; a run takes seconds

// A part of a path: "2-attention=relu_kernel-sum". The number keeps names apart that differ in what a path cannot hold.
std::string folder_name(std::size_t number, const std::string& name) {
  constexpr std::size_t kLongest = 60;
  std::string text = fmt::format("{}-{}", number, name.substr(0, kLongest));
  const auto is_odd = [](unsigned char c) { return std::isalnum(c) == 0 && c != '_' && c != '=' && c != '.'; };
  std::ranges::replace_if(text, is_odd, '-');
  return text;
}

// One variant and seed.
struct Search {
  const EdgeVariant* variant;
  fs::path folder;  // of its variant's runs, from that of the whole
  EdgeSearch search;
  SeedEdge* edge;
  bool running = false;

  bool is_over() const { return edge->known || !edge->failure.empty(); }
  int done() const { return edge->failure.empty() ? search.done() : search.planned(); }

  fs::path run_folder() const { return folder / fmt::format("seed-{}-rate-{}", edge->seed, *search.next()); }

  std::string config() const {
    runs::NamedValues settings = variant->settings;
    settings.push_back({"learning_rate", *search.next()});
    settings.push_back({"seed", edge->seed});
    return "command = \"train\"\n" + runs::Settings(settings).toml();
  }

  void take(const RunEnd& end, const EdgePlan& plan, const fs::path& place) {
    running = false;
    if (end.metrics == "{}") {  // a run that diverged has numbers, and a failure that names those that are not finite
      edge->failure = end.failure;
      return;
    }
    const fs::path of_run = run_folder();
    const EdgeVerdict verdict = verdict_of_run(place / of_run, end.metrics, plan.entropy_share);
    edge->runs.push_back(
        {.rate = *search.next(), .verdict = verdict, .steps = steps_of_result(end.metrics), .folder = of_run});
    search.tell(verdict.sign != CollapseSign::kNone);
    edge->held = search.held();
    edge->collapsed = search.collapsed();
    edge->known = !search.next();
  }
};

// What an earlier call left done.
void take_results(std::vector<Search>& searches, const EdgePlan& plan, const fs::path& place) {
  for (Search& search : searches) {
    while (!search.is_over()) {
      const std::optional<RunEnd> end = read_result(place / search.run_folder());
      if (!end) break;
      search.take(*end, plan, place);
    }
  }
}

std::vector<VariantEdge> unknown_edges(const EdgePlan& plan) {
  std::vector<VariantEdge> edges;
  for (const EdgeVariant& variant : plan.variants) {
    edges.push_back({.name = variant.name, .seeds = {}});
    for (int i = 0; i < plan.seeds; ++i) edges.back().seeds.push_back({.seed = plan.first_seed + i});
  }
  return edges;
}

std::vector<Search> searches_of(const EdgePlan& plan, std::vector<VariantEdge>& edges) {
  std::vector<Search> searches;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    for (SeedEdge& edge : edges[i].seeds) {
      searches.push_back({.variant = &plan.variants[i],
                          .folder = fs::path("runs") / folder_name(i + 1, edges[i].name),
                          .search = EdgeSearch(plan.first_rate, plan.within),
                          .edge = &edge});
    }
  }
  return searches;
}

std::uint64_t done_of(const std::vector<Search>& searches) {
  std::uint64_t done = 0;
  for (const Search& search : searches) done += static_cast<std::uint64_t>(search.done());
  return done;
}

std::string note(const std::vector<Search>& searches) {
  std::size_t runs = 0;
  for (const Search& search : searches) runs += search.edge->runs.size();
  const std::string count = fmt::format("{} run{}", runs, runs == 1 ? "" : "s");
  const auto at_work = std::ranges::find(searches, true, &Search::running);
  if (at_work == searches.end()) return count;
  return fmt::format("{}, {} seed {} at {}", count, at_work->variant->name, at_work->edge->seed,
                     *at_work->search.next());
}

}  // namespace

std::string EdgePlan::toml() const {
  std::string text = "# polariscope edge\n";
  for (const EdgeVariant& variant : variants) {
    runs::NamedValues settings = variant.settings;
    settings.push_back({"learning_rate", first_rate});
    settings.push_back({"seed", first_seed});
    text += fmt::format("[{}]\n{}", toml_text(variant.name), runs::Settings(settings).toml());
  }
  return text;
}

EdgeEnd find_edges(const EdgePlan& plan, const fs::path& folder, Workers& workers, ProgressBoard& board) {
  const runs::RunFolder held(folder, plan.toml());
  const fs::path place = absolute(folder);
  EdgeEnd end{.variants = unknown_edges(plan)};
  std::vector<Search> searches = searches_of(plan, end.variants);
  std::uint64_t planned = 0;
  for (const Search& search : searches) planned += static_cast<std::uint64_t>(search.search.planned());
  take_results(searches, plan, place);
  const auto save = [&] { write_file(place / "edge.json", edges_as_json(plan, end.variants) + "\n"); };
  if (done_of(searches) > 0) save();
  Progress progress = board.start("edge", planned, "", done_of(searches));
  const auto is_over = [](const Search& search) { return search.is_over(); };

  while (!interrupted() && !std::ranges::all_of(searches, is_over)) {
    for (std::size_t i = 0; i < searches.size() && workers.has_place(); ++i) {
      Search& search = searches[i];
      if (search.running || search.is_over()) continue;
      search.running = true;
      workers.start({.run = static_cast<int>(i), .folder = place / search.run_folder(), .config = search.config()});
    }
    const std::vector<RunEnd> ends = workers.ended();
    for (const RunEnd& one : ends) searches[static_cast<std::size_t>(one.run)].take(one, plan, place);
    if (!ends.empty()) save();
    progress.update(done_of(searches), note(searches));
    if (ends.empty()) std::this_thread::sleep_for(kPause);
  }
  end.interrupted = !std::ranges::all_of(searches, is_over);
  if (end.interrupted) {
    workers.stop();
  } else {
    progress.finish(note(searches));
  }
  return end;
}

}  // namespace polariscope::sweep
