// The table of a training's options (runs/options.h) as options of a subcommand.
#pragma once

#include "polariscope/runs/settings.h"

#include <CLI/CLI.hpp>

#include <span>
#include <string>
#include <string_view>

namespace polariscope::cli {

// One flag for each option, in the groups of the table; a value that does not fit is refused as it is read.
void declare_options(CLI::App& command, std::span<const runs::Option> table);

// The value that was typed. A path to something that is there becomes absolute, so that a config.toml means it
// everywhere. Throws Error, beginning with `shown`, for one that does not fit.
ConfigValue typed_value(const runs::Option& option, const std::string& typed, std::string_view shown);

// What the command line says of the declared options.
runs::NamedValues given_options(const CLI::App& command, std::span<const runs::Option> table);

}  // namespace polariscope::cli
