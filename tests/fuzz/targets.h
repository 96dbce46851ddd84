// Readers of files from outside, each as a function that may be given any bytes: it reads them or the reader refuses
// them with an Error. Whatever else happens is a fault of the reader.
#pragma once

#include <span>
#include <string_view>

namespace polariscope::testing {

// True where the bytes were read, false where they were refused.
bool fuzz_config(std::string_view bytes);       // base/config.h: TOML
bool fuzz_description(std::string_view bytes);  // config.json of pretrained models: models/pretrained/
bool fuzz_gguf(std::string_view bytes);         // checkpoints/gguf.h and the decoding of its tensors
bool fuzz_json(std::string_view bytes);         // config.json and model.safetensors.index.json
bool fuzz_npy(std::string_view bytes);          // base/npy_array.h, base/npy.h
bool fuzz_safetensors(std::string_view bytes);  // base/safetensors.h, checkpoints/checkpoint.h
bool fuzz_tokenizer(std::string_view bytes);    // tasks/text: tokenizer.json, tokenizer.model, tokenizer.bin
bool fuzz_tokens(std::string_view bytes);       // tasks/text/token_index.h: index.json of token shards

struct FuzzTarget {
  std::string_view name;  // of its corpus: tests/fuzz/corpus/NAME/
  bool (*read)(std::string_view);
};
std::span<const FuzzTarget> fuzz_targets();

}  // namespace polariscope::testing
