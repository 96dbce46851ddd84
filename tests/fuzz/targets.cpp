#include "targets.h"

#include "memory_file.h"
#include "polariscope/base/config.h"
#include "polariscope/base/error.h"
#include "polariscope/base/npy.h"
#include "polariscope/base/npy_array.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/checkpoints/gguf.h"
#include "polariscope/checkpoints/internal/json_file.h"
#include "polariscope/checkpoints/internal/safetensors_tensors.h"
#include "polariscope/checkpoints/internal/shard_index.h"
#include "polariscope/models/pretrained/parameters.h"
#include "polariscope/tasks/text/internal/readers.h"
#include "polariscope/tasks/text/token_index.h"
#include "polariscope/tasks/text/tokenizer.h"

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace polariscope::testing {
namespace {

template <class Read>
bool is_read_whole(const Read& read) {
  try {
    read();
    return true;
  } catch (const Error&) {
    return false;
  }
}

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

// From a copy of just its size, so that a sanitizer sees what is read beyond it.
void decode(const checkpoints::Tensor& tensor) {
  require(checkpoints::bytes_needed(tensor.type, tensor.shape) == static_cast<std::int64_t>(tensor.bytes.size()),
          "a tensor's bytes are not what its shape needs");
  const std::vector<std::byte> bytes(tensor.bytes.begin(), tensor.bytes.end());
  if (is_read(tensor.type)) checkpoints::read_floats({tensor.name, tensor.type, tensor.shape, bytes});
}

}  // namespace

bool fuzz_config(std::string_view bytes) {
  return is_read_whole([&] {
    const Config config = Config::parse(bytes, "fuzz");
    std::string written;
    for (const auto& [key, entry] : config.entries()) {
      written += toml_text(ConfigValue(key)) + " = " + toml_text(entry.value) + "\n";
    }
    const Config again = Config::parse(written, "written");
    require(again.entries().size() == config.entries().size(), "a setting that was written is not read");
    is_read_whole([&] { config.refuse_unknown({"dimension", "heads"}); });
  });
}

// Beside tensors that might be of any model; a description so large that they could not serve it is refused.
bool fuzz_description(std::string_view bytes) {
  return is_read_whole([&] {
    const nlohmann::json config = checkpoints::parse_json(bytes, "fuzz");
    models::TensorsAtHand tensors;
    for (int i = 0; i < 40; ++i) tensors.shapes["blk.0." + std::to_string(i)] = {4, 4};
    tensors.shapes["token_embd.weight"] = {4, 4};
    tensors.shapes["rope_freqs.weight"] = {2};
    tensors.numbers = [](std::string_view) { return std::vector<double>{1.0, 2.0}; };
    const auto named = [&config](const char* key) {
      return config.is_object() && config.contains(key) && config.at(key).is_string()
                 ? config.at(key).get<std::string>()
                 : std::string();
    };
    const std::string gguf = named("general.architecture");
    const models::PretrainedRow& row =
        gguf.empty() ? models::find_pretrained_row(named("model_type")) : models::find_gguf_row(gguf);
    const models::Plan plan = models::read_plan(row, config, "fuzz", tensors);
    models::parameter_shapes(plan.description);
    for (const models::Rotary& rotary : plan.description.rotary) {
      if (rotary.width < 4096) models::rotary_table(rotary, 100);
    }
  });
}

bool fuzz_gguf(std::string_view bytes) {
  const MemoryFile file(bytes);
  return is_read_whole([&] {
    const checkpoints::Gguf gguf(file.path());
    for (const checkpoints::Tensor& tensor : gguf.tensors()) decode(tensor);
    gguf.metadata().dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  });
}

bool fuzz_json(std::string_view bytes) {
  const MemoryFile file(bytes);
  const bool is_object = is_read_whole([&] {
    const nlohmann::json copy = checkpoints::parse_json(bytes, "fuzz");
    copy.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  });
  is_read_whole([&] { checkpoints::shards_of(file.path()); });
  return is_object;
}

bool fuzz_npy(std::string_view bytes) {
  const bool is_array = is_read_whole([&] {
    const NpyArray array = npy_array(bytes, "fuzz");
    std::int64_t size = 1;
    for (const std::int64_t dimension : array.shape) size *= dimension;
    require(static_cast<std::size_t>(size) == array.values.size(), "an array's numbers do not fill its shape");
  });
  const bool is_field = is_read_whole([&] {
    const NpyValues field = npy_field(bytes, "loss");
    require(field.rows * field.width == field.values.size(), "a field's numbers do not fill its rows");
  });
  return is_array || is_field;
}

bool fuzz_safetensors(std::string_view bytes) {
  const MemoryFile file(bytes);
  return is_read_whole([&] {
    const Safetensors safetensors(file.path());
    std::vector<checkpoints::Tensor> tensors;
    checkpoints::add_tensors(safetensors, "fuzz", tensors);
    for (const checkpoints::Tensor& tensor : tensors) decode(tensor);
    for (const StoredTensor& tensor : safetensors.tensors()) to_doubles(tensor);
  });
}

// What a model's files may do to texts: each is encoded, and each id shown.
bool fuzz_tokenizer(std::string_view bytes) {
  using namespace tasks::text;
  const std::string texts[] = {"The head  looks at <s> one\ntoken 123.", "  \u00e9e\u0301 \u6ce8\u610f\xff\x00 ab",
                               std::string(300, 'a')};
  if (bytes.starts_with('{')) {
    return is_read_whole([&] {
      const Tokenizer tokenizer = Tokenizer::from_json(bytes, "fuzz");
      for (const std::string& text : texts) {
        for (const std::int32_t id : tokenizer.encode(text)) tokenizer.text_of(id);
      }
      tokenizer.describe();
    });
  }
  const auto encode = [&](const TokenizerParts& parts) {
    Workspace work;
    std::vector<std::int32_t> ids;
    for (std::string text : texts) {
      if (parts.normalizer) parts.normalizer->apply(text, work.match);
      if (!text.empty()) parts.segmenter->append(text, work, ids);
    }
  };
  const bool is_model = is_read_whole([&] { encode(read_sentencepiece(bytes, "fuzz")); });
  const bool is_list = is_read_whole([&] { encode(read_llama2c(bytes, "fuzz")); });
  return is_model || is_list;
}

bool fuzz_tokens(std::string_view bytes) {
  return is_read_whole([&] {
    const tasks::text::TokenIndex index = tasks::text::parse_token_index(bytes, "fuzz");
    const std::string written = to_json(index).dump();
    require(to_json(tasks::text::parse_token_index(written, "written")).dump() == written,
            "an index that was written is read as another");
  });
}

std::span<const FuzzTarget> fuzz_targets() {
  static constexpr FuzzTarget kTargets[] = {
      {"config", fuzz_config},
      {"description", fuzz_description},
      {"gguf", fuzz_gguf},
      {"json", fuzz_json},
      {"npy", fuzz_npy},
      {"safetensors", fuzz_safetensors},
      {"tokenizer", fuzz_tokenizer},
      {"tokens", fuzz_tokens},
  };
  return kTargets;
}

}  // namespace polariscope::testing
