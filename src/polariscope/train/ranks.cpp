#include "polariscope/train/ranks.h"

#include "polariscope/base/error.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <vector>

namespace polariscope::train {
namespace {

// What one rank does alone (a validation loss, a checkpoint) the others wait for; of one that is gone they hear at
// once.
constexpr std::chrono::minutes kPatience{30};

std::string word(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int number(const char* name, int least, int most) {
  const std::string text = word(name);
  int value = 0;
  const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || rest != text.data() + text.size() || value < least || value > most) {
    throw Error("{} is \"{}\": expected a whole number of {} to {}", name, text, least, most);
  }
  return value;
}

// The first line of what LibTorch says: the rest names its sources.
std::string first_line(std::string_view words) { return std::string(words.substr(0, words.find('\n'))); }

// What is thrown inside becomes a sentence.
template <class Act>
void together(const Act& act) {
  try {
    act();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(
        "a process that trains along is gone or does not answer ({}): the run's last checkpoint stands, and the "
        "same command goes on from it, also with another number of processes",
        first_line(error.what()));
  }
}

}  // namespace

std::optional<RankPlace> place_in_environment() {
  const bool torchrun = std::getenv("RANK") != nullptr && std::getenv("WORLD_SIZE") != nullptr;
  // A batch script of several tasks has Slurm's numbers, too: only an address says that tasks are to meet.
  const bool slurm =
      std::getenv("SLURM_PROCID") != nullptr && std::getenv("SLURM_NTASKS") != nullptr && !word("MASTER_ADDR").empty();
  if (!torchrun && !slurm) return {};
  constexpr int kMost = 1 << 20;
  RankPlace place;
  place.size = number(torchrun ? "WORLD_SIZE" : "SLURM_NTASKS", 1, kMost);
  place.rank = number(torchrun ? "RANK" : "SLURM_PROCID", 0, place.size - 1);
  if (place.size == 1) return {};
  if (word("MASTER_ADDR").empty() || word("MASTER_PORT").empty()) {
    throw Error("{} processes train together: MASTER_ADDR and MASTER_PORT must say where the first of them is found",
                place.size);
  }
  place.address = word("MASTER_ADDR");
  place.port = static_cast<std::uint16_t>(number("MASTER_PORT", 1, 65535));
  // torchrun listens at that port itself, and speaks what its own version of PyTorch does: the next one is ours.
  if (word("TORCHELASTIC_USE_AGENT_STORE") == "True")
    place.port = static_cast<std::uint16_t>(place.port == 65535 ? 65534 : place.port + 1);
  return place;
}

struct Ranks::Group {
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  std::vector<c10::intrusive_ptr<c10d::Work>> begun;
};

Ranks::Ranks(const RankPlace& place, const std::function<void(std::uint16_t port)>& port_known)
    : place_(place), group_(std::make_unique<Group>()) {
  together([&] {
    c10d::TCPStoreOptions store;
    store.port = place.port;
    store.isServer = place.rank == 0;
    store.waitWorkers = false;
    store.timeout = kPatience;
    group_->store = c10::make_intrusive<c10d::TCPStore>(place.address, store);
    if (place.rank == 0 && port_known) port_known(group_->store->getPort());
    auto options = c10d::ProcessGroupGloo::Options::create(kPatience);
    options->devices.push_back(place.address == "127.0.0.1"
                                   ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                   : c10d::ProcessGroupGloo::createDefaultDevice());
    options->threads = 2;
    group_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(group_->store, place.rank, place.size, options);
  });
}

Ranks::~Ranks() = default;

void Ranks::start_sum(const at::Tensor& numbers) {
  together([&] {
    std::vector<at::Tensor> all{numbers};
    group_->begun.push_back(group_->gloo->allreduce(all));
  });
}

void Ranks::start_maximum(const at::Tensor& numbers) {
  together([&] {
    std::vector<at::Tensor> all{numbers};
    group_->begun.push_back(group_->gloo->allreduce(all, {.reduceOp = c10d::ReduceOp::MAX}));
  });
}

void Ranks::wait() {
  together([&] {
    for (const auto& work : group_->begun) work->wait();
    group_->begun.clear();
  });
}

void Ranks::broadcast(const at::Tensor& numbers) {
  together([&] {
    std::vector<at::Tensor> all{numbers};
    group_->gloo->broadcast(all)->wait();
  });
}

}  // namespace polariscope::train
