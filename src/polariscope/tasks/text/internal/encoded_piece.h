// A piece of text as numbers, and where documents begin in it.
#pragma once

#include "polariscope/tasks/text/internal/text_pieces.h"
#include "polariscope/tasks/text/text_encoder.h"

#include <cstdint>
#include <string>
#include <vector>

namespace polariscope::tasks::text {

struct EncodedPiece {
  std::vector<std::int32_t> ids;
  std::vector<std::size_t> begins;  // ids of a document begin there; a piece may go on with the one before
  std::int64_t bytes = 0;           // of text
  bool rough = false;               // it follows a cut where its tokens may be others
};

// name: of the piece's input, for errors. Throws Error for a line that is no object of JSON with a text in `field`.
EncodedPiece encoded(const TextPiece& piece, const TextEncoder& encoder, const std::string& field,
                     const std::string& name);

}  // namespace polariscope::tasks::text
