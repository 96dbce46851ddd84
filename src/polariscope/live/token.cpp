#include "polariscope/live/token.h"

#include "polariscope/base/error.h"
#include "polariscope/base/file_part.h"
#include "polariscope/base/files.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <system_error>

namespace polariscope::live {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 32;

bool is_token(std::string_view text) {
  return text.size() == kDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "" where there is none that is its owner's alone.
std::string token_in(const fs::path& file) {
  struct stat status = {};
  if (lstat(file.c_str(), &status) != 0) return "";
  const bool is_private =
      S_ISREG(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  std::string token = is_private ? read_part(file, 0, kDigits) : "";
  return is_token(token) ? token : "";
}

// What is made meanwhile is its owner's alone.
class PrivateFiles {
 public:
  PrivateFiles() : before_(umask(S_IRWXG | S_IRWXO)) {}
  ~PrivateFiles() { umask(before_); }
  PrivateFiles(const PrivateFiles&) = delete;
  PrivateFiles& operator=(const PrivateFiles&) = delete;

 private:
  mode_t before_;
};

}  // namespace

std::string new_token() {
  std::array<unsigned char, kDigits / 2> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw Error("the system gives no random numbers for the page's address: start it again");
  }
  std::string token;
  for (const unsigned char byte : bytes) token += fmt::format("{:02x}", byte);
  return token;
}

std::string kept_token(const fs::path& file) {
  if (std::string token = token_in(file); !token.empty()) return token;
  const PrivateFiles owners_alone;
  make_folder(file.parent_path());
  std::error_code unknown;
  fs::remove(file, unknown);  // a link would be written through
  const std::string token = new_token();
  write_file(file, token + "\n");
  // Of two that begin at once the later file stays. A file system without owners keeps none for the next time.
  std::string kept = token_in(file);
  return kept.empty() ? token : kept;
}

fs::path token_file() {
  const char *state = std::getenv("XDG_STATE_HOME"), *home = std::getenv("HOME");
  const fs::path name = fs::path("polariscope") / "watch-token";
  if (state != nullptr && fs::path(state).is_absolute()) return state / name;
  if (home != nullptr && fs::path(home).is_absolute()) return fs::path(home) / ".local" / "state" / name;
  return {};
}

bool same_token(std::string_view token, std::string_view given) {
  if (token.size() != given.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < token.size(); ++i) difference |= static_cast<unsigned char>(token[i] ^ given[i]);
  return difference == 0;
}

}  // namespace polariscope::live
