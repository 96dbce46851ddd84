#include "program.h"

#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/names.h"
#include "polariscope/base/terminal.h"
#include "polariscope/base/version.h"
#include "settings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace polariscope::cli {
namespace {

constexpr int kUserError = 2;
constexpr int kInterrupted = 130;
constexpr const char* kNoMemory = "not enough memory for a problem of this size";

// Descriptions wrap, as tables do.
class HelpFormat : public CLI::Formatter {
  // One empty line between groups, not two.
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    return CLI::detail::find_and_replace(CLI::Formatter::make_help(app, std::move(name), mode), "\n\n\n", "\n\n");
  }
  std::string make_option(const CLI::Option* option, bool positional) const override {
    constexpr std::size_t kNameColumns = 28;
    std::string name = "  " + make_option_name(option, positional) + make_option_opts(option);
    name.resize(std::max(name.size(), kNameColumns), ' ');
    return aligned_table({{name, make_option_desc(option)}});
  }
};

// A file that is opened while a standard stream is closed would take its place, and get all that is printed. What is
// printed to a closed output is an error as before, to a closed standard error nothing.
void open_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const bool is_closed = fcntl(stream, F_GETFD) == -1 && errno == EBADF;
    if (is_closed && open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY) != stream) std::_Exit(kUserError);
  }
}

// One line, whatever names with line breaks it quotes.
int complain(std::string sentence) {
  std::replace_if(
      sentence.begin(), sentence.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  tell(fmt::format("polariscope: {}\n", sentence));
  return kUserError;
}

// The innermost command that was typed: of "sweep run", run.
const CLI::App& chosen(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : chosen(*commands.front());
}

// The parser's own words say "1 required FLOAT missing".
std::string parse_problem(const CLI::App& app, const CLI::ParseError& error) {
  const std::string words = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const auto says = [&](std::string_view part) { return words.find(part) != std::string::npos; };
    const std::string option = words.substr(0, words.find_first_of(": "));
    if (says("flag override")) return fmt::format("--{} takes no value: it is on where it is given", option);
    if (says("At Most")) return fmt::format("{} is given more than once", option);
    return fmt::format("{} needs a value; see --help", option);
  }
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    const std::size_t name = words.find("--"), equals = words.find(" = ");
    if (name != std::string::npos && equals != std::string::npos) {
      return fmt::format("{} is \"{}\": it must be a number", words.substr(name, equals - name),
                         words.substr(equals + 3));
    }
  }
  if (const auto* refused = dynamic_cast<const CLI::ValidationError*>(&error)) return value_problem(*refused);
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    const CLI::App& command = chosen(app);
    for (const CLI::Option* option : command.get_options()) {
      if (!option->get_required() || option->count() > 0) continue;
      if (!option->get_positional()) return fmt::format("{} needs {}", command.get_name(), option->get_name());
      return fmt::format("{} needs to know what: {}", command.get_name(), option->get_description());
    }
  }
  return words;
}

// Unknown arguments are left to unknown_argument(), and "--json=3" is a mistake, not one more way to write "--json".
void make_strict(CLI::App& command) {
  command.allow_extras();
  for (CLI::Option* option : command.get_options()) {
    if (option->get_expected_max() == 0) option->disable_flag_override();
  }
  for (CLI::App* part : command.get_subcommands({})) make_strict(*part);
}

// A sentence for what the parser could not place: a mistyped command or option, with the nearest one.
std::string unknown_argument(const CLI::App& app, const std::string& argument) {
  const CLI::App& command = chosen(app);
  if (!argument.starts_with('-')) {
    std::vector<std::string> names;
    for (const CLI::App* part : command.get_subcommands({})) names.push_back(part->get_name());
    if (names.empty()) return fmt::format("\"{}\" is one argument too many for this command; see --help", argument);
    return unknown_name("command", argument, std::vector<std::string_view>(names.begin(), names.end()));
  }
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_lnames().empty()) names.push_back("--" + option->get_lnames().front());
  }
  if (name == "--" || std::ranges::find(names, name) != names.end()) {
    return "\"--\" has no place here: it makes plain arguments of the options after it";
  }
  return unknown_name("option", name, std::vector<std::string_view>(names.begin(), names.end()));
}

int complain_of_output(int error) {
  return complain(fmt::format("standard output cannot be written ({}): send it elsewhere", std::strerror(error)));
}

// What is printed is a result like any other: a full disk behind ">" must not pass for success.
int with_output_written(int code) {
  std::cout.flush();  // the parser's: help and version
  const bool written = std::fflush(stdout) == 0 && std::cout.good();
  return written ? code : complain_of_output(errno);
}

int run(int argc, char** argv, const Program& program) {
  CLI::App app{"Polariscope: why, when and where softmax attention collapses onto few tokens, and what that costs."};
  app.name("polariscope");
  app.formatter(std::make_shared<HelpFormat>());
  app.set_version_flag("--version", fmt::format("polariscope {} ({})", version(), commit()));
  app.require_subcommand(0, 1);
  std::map<std::string, Command> commands = program.add_commands(app);
  app.footer(program.footer);
  make_strict(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return with_output_written(app.exit(asked));
  } catch (const CLI::ParseError& error) {
    return complain(parse_problem(app, error));
  }
  if (const auto extras = app.remaining(true); !extras.empty()) return complain(unknown_argument(app, extras.front()));
  if (app.get_subcommands().empty()) {
    fmt::print("{}", app.help());
    return with_output_written(kUserError);
  }
  return with_output_written(commands.at(app.get_subcommands().front()->get_name())());
}

}  // namespace

int run_program(int argc, char** argv, const Program& program) {
  open_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond the limit of `ulimit -f` is one that cannot be written
  try {
    return run(argc, argv, program);
  } catch (const Error& error) {
    return complain(error.what());
  } catch (const Interrupted&) {
    tell("polariscope: interrupted\n");
    return kInterrupted;
  } catch (const std::bad_alloc&) {
    return complain(kNoMemory);
  } catch (const std::system_error& error) {
    const bool of_output = std::string_view(error.what()).starts_with("cannot write to file");  // fmt::print's
    return of_output ? complain_of_output(error.code().value()) : complain(error.what());
  } catch (const std::exception& error) {  // of a library
    const std::string words = error.what();
    if (words.find("DefaultCPUAllocator") != std::string::npos) return complain(kNoMemory);  // LibTorch's bad_alloc
    return complain(words.substr(0, words.find('\n')));  // LibTorch adds where it was
  }
}

}  // namespace polariscope::cli
