#include "polariscope/flow/internal/singular_values.h"

template class Eigen::JacobiSVD<polariscope::flow::Matrix>;
