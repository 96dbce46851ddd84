// Stands in for `polariscope train`: FOLDER/config.toml --out FOLDER --quiet. It behaves as the config says, and leaves
// a mark where the sweep starts a run beside itself or once more than needed.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> read_config(const fs::path& path) {
  std::map<std::string, std::string> config;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t equals = line.find(" = ");
    std::string value = line.substr(equals + 3);
    std::erase(value, '"');
    config[line.substr(0, equals)] = value;
  }
  return config;
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream file(path.string() + ".new");
  file << text;
  file.close();
  fs::rename(path.string() + ".new", path);
}

[[noreturn]] void sleep_for_ever() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace

int main(int, char** argv) {
  const fs::path folder = argv[3];
  const auto config = read_config(argv[1]);
  const int alive = open((folder / "alive").c_str(), O_RDWR | O_CREAT, 0666);
  if (flock(alive, LOCK_EX | LOCK_NB) != 0) write(folder / "beside_itself", "");
  if (fs::exists(folder / "result.json")) write(folder / "repeated", "");
  write(folder / "process", std::to_string(getpid()));
  write(folder / "parent", std::to_string(getppid()));

  const auto text = [&](const std::string& key) {
    const auto found = config.find(key);
    return found == config.end() ? std::string() : found->second;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(text("milliseconds").c_str())));
  const std::string behaviour = text("behaviour");
  if (behaviour == "crash") std::raise(SIGABRT);
  if (behaviour == "hang") sleep_for_ever();
  if (behaviour == "nothing") return 0;
  if (behaviour == "exit") {
    std::fputs("reading\npolariscope: the disk, \"sda\", is \xFF full\n\n", stderr);
    return 3;
  }
  const double x = std::atof(text("x").c_str());
  const std::string environment = std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr ? "plain" : "of MPI";
  std::string result = "{\"square\": " + std::to_string(x * x) + ", \"seed\": " + text("seed") +
                       ", \"environment\": \"" + environment + "\"";
  if (behaviour == "nan") result += ", \"loss\": NaN, \"accuracy\": null, \"entropy\": \"inf\"";
  if (behaviour == "list") result += ", \"heads\": [1, 2]";
  if (behaviour == "broken") result += ",,";
  write(folder / "result.json", result + "}");
  if (behaviour == "crash after the result") std::raise(SIGABRT);
  return 0;
}
