// A share of a sweep's runs, for one of several schedulers that work side by side.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::sweep {

// Part `index` of `count`, 1 <= index <= count; the whole is part 1 of 1.
struct Shard {
  int index = 1;
  int count = 1;
};

// "3/8". Throws Error for anything else.
Shard parse_shard(std::string_view text);

// Numbers, from 1 to `runs`, of the shard's runs in the order of their turns. The order is a fixed shuffle, so that
// what is done at any moment is spread over the whole grid. The shards of one count share the runs out without
// overlap, and their sizes differ by at most one.
std::vector<int> runs_of_shard(int runs, Shard shard);

// Files of a sweep's folder.
std::filesystem::path database_path(const std::filesystem::path& folder,
                                    Shard shard);                              // runs.sqlite, runs-3-of-8.sqlite
std::filesystem::path lock_path(const std::filesystem::path& database);        // held by its scheduler
std::filesystem::path run_path(const std::filesystem::path& folder, int run);  // runs/00042

}  // namespace polariscope::sweep
