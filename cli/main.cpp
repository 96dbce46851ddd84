// polariscope: an instrument for attention entropy.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/names.h"
#include "polariscope/base/version.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <string>
#include <vector>

namespace polariscope {
namespace {

constexpr int kUserError = 2;
constexpr int kInterrupted = 130;

int complain(std::string_view sentence) {
  fmt::print(stderr, "polariscope: {}\n", sentence);
  return kUserError;
}

// A sentence for what the parser could not place: a mistyped command or option, with the nearest one.
std::string unknown_argument(const CLI::App& app, const std::vector<std::string>& commands,
                             const std::string& argument) {
  if (!argument.starts_with("-")) {
    const bool chosen = !app.get_subcommands().empty();
    if (chosen) return fmt::format("\"{}\" is one argument too many for this command; see --help", argument);
    return unknown_name("command", argument, std::vector<std::string_view>(commands.begin(), commands.end()));
  }
  const CLI::App* command = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::Option* option : command->get_options()) {
    if (!option->get_lnames().empty()) names.push_back("--" + option->get_lnames().front());
  }
  return unknown_name("option", argument.substr(0, argument.find('=')),
                      std::vector<std::string_view>(names.begin(), names.end()));
}

int run(int argc, char** argv) {
  CLI::App app{"Polariscope: why, when and where softmax attention collapses onto few tokens, and what that costs."};
  app.name("polariscope");
  app.set_version_flag("--version", fmt::format("polariscope {} ({})", version(), commit()));
  app.require_subcommand(0, 1);
  app.allow_extras();
  std::map<std::string, Command> commands{
      {"flow", add_flow(app)}, {"list", add_list(app)}, {"reproduce", add_reproduce(app)}};
  app.footer(
      "Examples:\n"
      "  polariscope reproduce             # section 3 of the polarisation paper, to out/report.html\n"
      "  polariscope list experiments\n"
      "  polariscope flow --method flow --until 1e299 --check");
  std::vector<std::string> names;
  for (CLI::App* command : app.get_subcommands({})) {
    names.push_back(command->get_name());
    command->allow_extras();
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return complain(error.what());
  }
  if (const auto extras = app.remaining(true); !extras.empty())
    return complain(unknown_argument(app, names, extras.front()));
  if (app.get_subcommands().empty()) {
    fmt::print("{}", app.help());
    return kUserError;
  }
  return commands.at(app.get_subcommands().front()->get_name())();
}

}  // namespace
}  // namespace polariscope

int main(int argc, char** argv) {
  try {
    return polariscope::run(argc, argv);
  } catch (const polariscope::Error& error) {
    return polariscope::complain(error.what());
  } catch (const polariscope::Interrupted&) {
    fmt::print(stderr, "polariscope: interrupted\n");
    return polariscope::kInterrupted;
  } catch (const std::bad_alloc&) {
    return polariscope::complain("not enough memory for a problem of this size");
  }
}
