// polariscope watch: a page that follows runs.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/terminal.h"
#include "polariscope/live/server.h"
#include "polariscope/live/token.h"
#include "polariscope/live/watcher.h"
#include "settings.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace polariscope::cli {
namespace {

constexpr int kUsualPort = 7171;

std::vector<std::filesystem::path> places(const std::vector<std::string>& typed) {
  std::vector<std::filesystem::path> folders;
  for (const std::string& place : typed) {
    std::error_code unknown;
    if (!std::filesystem::is_directory(place, unknown)) {
      throw Error("\"{}\" is no folder: give a run, as --out of `polariscope train` names it, or a folder of runs",
                  place);
    }
    folders.emplace_back(place);
  }
  return folders;
}

// Where the token cannot be kept the page has another address next time, which is all.
std::string token() {
  const std::filesystem::path file = live::token_file();
  try {
    if (!file.empty()) return live::kept_token(file);
  } catch (const Error& error) {
    tell(fmt::format("polariscope: {}; the page's address is for this time alone\n", error.what()));
  }
  return live::new_token();
}

// At the usual port, or else at the next one that is free.
std::unique_ptr<live::Server> serve(std::optional<int> port, const live::Server::Handler& handler) {
  if (port) return of_option("--port", [&] { return std::make_unique<live::Server>(*port, handler); });
  constexpr int kTried = 20;
  for (int next = kUsualPort; next < kUsualPort + kTried; ++next) {
    try {
      return std::make_unique<live::Server>(next, handler);
    } catch (const Error&) {
      continue;  // another process has that one
    }
  }
  return std::make_unique<live::Server>(0, handler);
}

}  // namespace

Command add_watch(CLI::App& app) {
  CLI::App* command = app.add_subcommand("watch", "Serve a page that follows runs while they train");
  struct Settings {
    std::vector<std::string> runs;
    double port = kUsualPort;
  };
  auto settings = std::make_shared<Settings>();
  command->add_option("runs", settings->runs, "Folders of runs, or folders in which runs are and will be")
      ->type_name("RUN")
      ->required();
  CLI::Option* port =
      command->add_option("--port", settings->port, "Of 127.0.0.1; default: 7171, or the next free one");
  port->type_name("N");
  command->footer(
      "The page is for this machine's browser and whoever knows its address; it changes nothing, and loads nothing "
      "from\n"
      "elsewhere. From another machine: ssh -L 7171:127.0.0.1:7171 HOST, and the same address there. Prometheus reads\n"
      "metrics beside it. Ctrl-C ends it.\n"
      "Examples:\n"
      "  polariscope watch run\n"
      "  polariscope watch softmax sigmoid          # two runs, one over the other\n"
      "  polariscope watch sweep --port 8000        # new runs appear as the sweep makes them");
  return [=]() -> int {
    constexpr double kLargestPort = 65535;
    const std::vector<std::filesystem::path> folders = places(settings->runs);
    std::optional<int> at;
    if (port->count() > 0) at = static_cast<int>(whole_number("--port", settings->port, 1, kLargestPort));
    catch_interrupts();
    const std::string secret = token();
    live::Watcher watcher(folders);
    const live::Site site(watcher, secret);
    const auto server = serve(at, [&](const live::Request& request) { return site.answer(request); });
    fmt::print("watching {} run{}: http://127.0.0.1:{}/{}/\n", watcher.runs().size(),
               watcher.runs().size() == 1 ? "" : "s", server->port(), secret);
    std::fflush(stdout);
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    throw Interrupted();
  };
}

}  // namespace polariscope::cli
