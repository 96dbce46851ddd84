#include "polariscope/live/token.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/internal/descriptor.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace polariscope::live {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 32;

bool is_token(std::string_view text) {
  return text.size() == kDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "" where there is none that is its owner's alone.
std::string token_in(const fs::path& file) {
  const Descriptor descriptor(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status = {};
  if (!descriptor.is_open() || fstat(descriptor.number(), &status) != 0) return "";
  const bool private_file =
      S_ISREG(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  std::array<char, kDigits> text{};
  if (!private_file || ::read(descriptor.number(), text.data(), kDigits) != kDigits) return "";
  const std::string_view token(text.data(), kDigits);
  return is_token(token) ? std::string(token) : "";
}

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
  make_folder(file.parent_path());
  const std::string token = new_token();
  const fs::path fresh = file.parent_path() / fmt::format(".{}.{}", file.filename().string(), getpid());
  unlink(fresh.c_str());
  const Descriptor descriptor(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!descriptor.is_open() || !write_all(descriptor, token + "\n")) throw unwritable(fresh, errno);
  if (rename(fresh.c_str(), file.c_str()) != 0) throw unwritable(file, errno);
  // Of two that begin at once the later file stays.
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
