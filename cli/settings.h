// Options of a subcommand as a TOML file, read and written. What an option holds is told by its type_name: N, X and T
// are numbers, true|false a boolean, FILE and FOLDER a path, anything else text; one without value is a switch.
#pragma once

#include "polariscope/base/error.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::cli {

// Gives every option that was not on the command line its value from the TOML file at `path`, whose keys
// are the options' long names without leading dashes, with - or _ within. A relative path in it begins at its folder.
// Throws Error naming an unknown key, a value that does not fit, or two keys for one option. A key "command" must name
// this subcommand.
void apply_config(CLI::App& command, const std::string& path);

// The complete settings as TOML: "command", then every option but `left_out`, with the value it has. A relative path is
// written as seen from `folder`, where the text is to stand.
std::string config_text(const CLI::App& command, const std::vector<std::string_view>& left_out,
                        const std::filesystem::path& folder);

// What the parser has to say of a value that it refused, without its own preamble.
std::string value_problem(const CLI::ValidationError& error);

// A whole number typed as people do: 1000000 or 1e6. Throws Error naming the option.
constexpr double kLargestWhole = 9e15;  // doubles hold all whole numbers up to here
long long whole_number(std::string_view option, double value, double least = -kLargestWhole,
                       double most = kLargestWhole);

// "4GiB", "500 MB": bytes. Throws Error for anything else.
std::int64_t bytes_in(std::string_view text);

// What `read` returns. The libraries know no options: an Error of theirs begins with this one's name.
template <class Read>
auto of_option(std::string_view option, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error("{}: {}", option, error.what());
  }
}

// Throws Error naming an option that was given without text, as an unset variable of a shell does. Names of
// models and the like are left to whoever knows them.
void require_values(const CLI::App& command);

}  // namespace polariscope::cli
