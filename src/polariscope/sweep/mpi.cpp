// Rank 0 hands out runs one by one and hears how they end; it works too.
#include "polariscope/sweep/mpi.h"

#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/terminal.h"
#include "polariscope/sweep/internal/post.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace polariscope::sweep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPause = std::chrono::milliseconds(10);
constexpr auto kSignOfLife = std::chrono::seconds(1);
constexpr auto kSilence = std::chrono::seconds(20);  // after which a rank is given up

// Kinds of letters. To rank 0: a rank is here, with its number of places; a run ended. From it: a run to execute; stop
// all runs; leave.
enum Kind : int { kHere = 1, kEnd, kJob, kStop, kLeave };

std::string written(const Job& job) {
  return nlohmann::json{{"run", job.run}, {"folder", job.folder.string()}, {"config", job.config}}.dump();
}

Job read_job(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  return {.run = json["run"], .folder = json["folder"].get<std::string>(), .config = json["config"]};
}

std::string written(const RunEnd& end) {
  return nlohmann::json{{"run", end.run},
                        {"failure", end.failure},
                        {"metrics", end.metrics},
                        {"seconds", end.seconds},
                        {"made_by", end.made_by}}
      .dump();
}

RunEnd read_end(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  return {.run = json["run"],
          .failure = json["failure"],
          .metrics = json["metrics"],
          .seconds = json["seconds"],
          .made_by = json["made_by"]};
}

// The ranks as rank 0 knows them.
class RankWorkers : public Workers {
 public:
  RankWorkers(Post& post, const RunCommand& command, int places) : post_(post), local_(command, places) {
    ranks_.resize(static_cast<std::size_t>(post.ranks()));
    ranks_[0].places = places;  // the others tell theirs
  }
  ~RankWorkers() override {
    for (int rank = 1; rank < post_.ranks(); ++rank) post_.send(rank, kLeave, "");
  }

  bool has_place() const override {
    return returned_.empty() && std::ranges::any_of(ranks_, [](const Rank& rank) { return rank.is_free(); });
  }

  void start(Job job) override {
    const auto rank = std::ranges::find_if(ranks_, [](const Rank& r) { return r.is_free(); });
    const auto number = static_cast<int>(rank - ranks_.begin());
    if (number == 0) {
      local_.start(job);
    } else {
      post_.send(number, kJob, written(job));
    }
    rank->jobs.push_back(std::move(job));
  }

  std::vector<RunEnd> ended() override {
    std::vector<RunEnd> ends;
    while (const auto letter = post_.receive()) {
      Rank& rank = ranks_[static_cast<std::size_t>(letter->rank)];
      rank.heard = Clock::now();
      if (letter->kind == kHere) rank.places = std::stoi(letter->text);
      if (letter->kind == kEnd) take(read_end(letter->text), ends);
    }
    for (RunEnd& end : local_.ended()) take(std::move(end), ends);
    for (std::size_t rank = 1; rank < ranks_.size(); ++rank) give_up_if_silent(static_cast<int>(rank));
    while (!returned_.empty() && std::ranges::any_of(ranks_, [](const Rank& rank) { return rank.is_free(); })) {
      start(std::exchange(returned_.back(), {}));
      returned_.pop_back();
    }
    return ends;
  }

  void stop() override {
    for (int rank = 1; rank < post_.ranks(); ++rank) post_.send(rank, kStop, "");
    local_.stop();
    for (Rank& rank : ranks_) rank.jobs.clear();
    returned_.clear();
  }

  bool has_lost_any() const {
    return std::ranges::any_of(ranks_, [](const Rank& rank) { return rank.lost; });
  }

 private:
  struct Rank {
    int places = 0;
    std::vector<Job> jobs;  // that it executes
    Clock::time_point heard = Clock::now();
    bool lost = false;

    bool is_free() const { return !lost && static_cast<int>(jobs.size()) < places; }
  };

  // The first end of a run counts; a rank that was given up may still tell another.
  void take(RunEnd end, std::vector<RunEnd>& ends) {
    const auto is_it = [&](const Job& job) { return job.run == end.run; };
    auto known = std::erase_if(returned_, is_it);
    for (Rank& rank : ranks_) known += std::erase_if(rank.jobs, is_it);
    if (known > 0) ends.push_back(std::move(end));
  }

  void give_up_if_silent(int number) {
    Rank& rank = ranks_[static_cast<std::size_t>(number)];
    if (rank.lost || Clock::now() - rank.heard < kSilence) return;
    rank.lost = true;
    tell(fmt::format("polariscope: rank {} is silent: its {} runs go to others\n", number, rank.jobs.size()));
    std::ranges::move(rank.jobs, std::back_inserter(returned_));
    rank.jobs.clear();
  }

  Post& post_;
  LocalWorkers local_;
  std::vector<Rank> ranks_;
  std::vector<Job> returned_;  // of lost ranks
};

// What every rank but 0 does.
void serve(Post& post, const RunCommand& command, int places) {
  LocalWorkers workers(command, places);
  const std::string here = std::to_string(places);
  for (Clock::time_point next;;) {
    while (const auto letter = post.receive()) {
      if (letter->kind == kLeave) return;
      if (letter->kind == kStop) workers.stop();
      if (letter->kind == kJob) workers.start(read_job(letter->text));
    }
    if (interrupted()) workers.stop();  // rank 0 was interrupted as well, and lets go soon
    for (const RunEnd& end : workers.ended()) post.send(0, kEnd, written(end));
    if (Clock::now() >= next) {
      post.send(0, kHere, here);
      next = Clock::now() + kSignOfLife;
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

int over_ranks(const RunCommand& command, int places, const std::function<int(Workers&)>& coordinate) {
  if (!is_under_mpirun()) {
    LocalWorkers workers(command, places);
    return coordinate(workers);
  }
  Post post;
  if (post.rank() > 0) {
    try {
      serve(post, command, places);
    } catch (const Error& error) {
      // An orderly end would wait for the others, which do not know.
      tell(fmt::format("polariscope: rank {}: {}\n", post.rank(), error.what()));
      MPI_Abort(MPI_COMM_WORLD, 2);
    }
    return 0;
  }
  RankWorkers workers(post, command, places);
  const int code = coordinate(workers);
  if (workers.has_lost_any()) {
    std::fflush(stdout);
    MPI_Abort(MPI_COMM_WORLD, code);  // an orderly end would wait for the lost ones
  }
  return code;
}

}  // namespace polariscope::sweep
