#include "polariscope/tasks/text/byte_tokenizer.h"

#include "polariscope/tasks/text/internal/byte_characters.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <nlohmann/json.hpp>

namespace polariscope::tasks::text {

std::string byte_tokenizer_json() {
  nlohmann::ordered_json vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary[utf8_of(character_of_byte(static_cast<unsigned char>(byte)))] = byte;
  }
  const nlohmann::ordered_json bytes{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  const nlohmann::ordered_json none;
  return nlohmann::ordered_json{{"version", "1.0"},
                                {"truncation", none},
                                {"padding", none},
                                {"added_tokens", nlohmann::ordered_json::array()},
                                {"normalizer", none},
                                {"pre_tokenizer", bytes},
                                {"post_processor", none},
                                {"decoder", bytes},
                                {"model",
                                 {{"type", "BPE"},
                                  {"dropout", none},
                                  {"unk_token", none},
                                  {"continuing_subword_prefix", none},
                                  {"end_of_word_suffix", none},
                                  {"fuse_unk", false},
                                  {"byte_fallback", false},
                                  {"vocab", vocabulary},
                                  {"merges", nlohmann::ordered_json::array()}}}}
             .dump(1) +
         "\n";
}

}  // namespace polariscope::tasks::text
