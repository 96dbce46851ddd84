// The model and the text that come with the program, so that an audit needs no download: data/example/README.md.
#pragma once

#include <filesystem>

namespace polariscope::audit {

// Writes them into a folder of their own among the temporary files, which goes with the object. Throws Error where they
// cannot be written.
class ExampleFolder {
 public:
  ExampleFolder();
  ~ExampleFolder();
  ExampleFolder(const ExampleFolder&) = delete;
  ExampleFolder& operator=(const ExampleFolder&) = delete;

  const std::filesystem::path& model() const { return path_; }  // config.json, model.safetensors, tokenizer.json
  std::filesystem::path text() const { return path_ / "text.txt"; }

 private:
  std::filesystem::path path_;
};

}  // namespace polariscope::audit
