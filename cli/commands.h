// One function per subcommand: declares its options on `app` and says what runs when it is chosen.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace polariscope::cli {

// Runs a parsed subcommand; returns the process's exit code.
using Command = std::function<int()>;

Command add_audit(CLI::App& app);
Command add_bound(CLI::App& app);
Command add_edge(CLI::App& app);
Command add_export(CLI::App& app);
Command add_flow(CLI::App& app);
Command add_forecast(CLI::App& app);
Command add_list(CLI::App& app);
Command add_reproduce(CLI::App& app);
Command add_sweep(CLI::App& app);
Command add_tokenize(CLI::App& app);
Command add_train(CLI::App& app);
Command add_watch(CLI::App& app);

}  // namespace polariscope::cli
