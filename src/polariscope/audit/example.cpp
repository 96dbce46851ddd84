#include "polariscope/audit/example.h"

#include "polariscope/base/embedded.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

POLARISCOPE_EMBEDDED(polariscope_example, config);
POLARISCOPE_EMBEDDED(polariscope_example, model);
POLARISCOPE_EMBEDDED(polariscope_example, tokenizer);
POLARISCOPE_EMBEDDED(polariscope_example, text);

namespace polariscope::audit {
namespace {

namespace fs = std::filesystem;

fs::path new_folder() {
  std::error_code trouble;
  const fs::path parent = fs::temp_directory_path(trouble);
  if (trouble) {
    throw Error("the example needs a folder for temporary files: {}; set TMPDIR to one that can be written",
                trouble.message());
  }
  std::string name = (parent / "polariscope-example-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    throw Error("the example cannot be written to {}: {}; set TMPDIR to a folder that can be written", parent.string(),
                std::generic_category().message(errno));
  }
  return name;
}

void remove_folder(const fs::path& path) {
  std::error_code ignored;  // what is left lies among the temporary files
  fs::remove_all(path, ignored);
}

}  // namespace

ExampleFolder::ExampleFolder() : path_(new_folder()) {
  try {
    write_file(path_ / "config.json", embedded(polariscope_example_config, polariscope_example_config_end));
    write_file(path_ / "model.safetensors", embedded(polariscope_example_model, polariscope_example_model_end));
    write_file(path_ / "tokenizer.json", embedded(polariscope_example_tokenizer, polariscope_example_tokenizer_end));
    write_file(text(), embedded(polariscope_example_text, polariscope_example_text_end));
  } catch (...) {
    remove_folder(path_);
    throw;
  }
}

ExampleFolder::~ExampleFolder() { remove_folder(path_); }

}  // namespace polariscope::audit
