// Models by name in the cache of the `hf` program: FOLDER/models--org--name/refs/main holds the commit whose files lie
// in snapshots/COMMIT, mostly as links. https://huggingface.co/docs/huggingface_hub/guides/manage-cache
#pragma once

#include <filesystem>
#include <string_view>

namespace polariscope::checkpoints {

// "gpt2", "org/name", "org/name@revision"
bool is_model_name(std::string_view name);

// $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE (of older versions), $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub or
// ~/.cache/huggingface/hub, the first of these that is set.
std::filesystem::path hub_cache();

// The folder with the model's files. Throws Error where the cache has no such model or revision, with how to fetch it.
std::filesystem::path find_in_hub_cache(std::string_view name);

}  // namespace polariscope::checkpoints
