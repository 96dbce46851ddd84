// The tokenizer of texts that are read a byte at a time, as other programs load it.
#pragma once

#include <string>

namespace polariscope::tasks::text {

// A tokenizer.json (Hugging Face's tokenizers): 256 tokens, one a byte and of its number, nothing put around a text.
std::string byte_tokenizer_json();

}  // namespace polariscope::tasks::text
