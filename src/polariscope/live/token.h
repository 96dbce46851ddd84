// The secret in the page's address: who does not know it, another user of the machine or a page of another site, gets
// nothing.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace polariscope::live {

// 32 hexadecimal digits from the system's random numbers.
std::string new_token();

// The token in `file`, made with its folder where there is none, readable for its owner alone: the same command gives
// the same address again, and a page that is open goes on after the server was started anew. A file that others may
// read, or that is none of ours, is replaced. Throws Error where it cannot be written.
std::string kept_token(const std::filesystem::path& file);

// Where a user's token is kept: polariscope/watch-token in $XDG_STATE_HOME or ~/.local/state. Empty where neither is
// known.
std::filesystem::path token_file();

// Takes as long for any `given` of the same length.
bool same_token(std::string_view token, std::string_view given);

}  // namespace polariscope::live
