// Eigen's decomposition into singular values, compiled once for all of the flow.
#pragma once

#include <Eigen/SVD>

namespace polariscope::flow {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using SingularValues = Eigen::JacobiSVD<Matrix>;

}  // namespace polariscope::flow

extern template class Eigen::JacobiSVD<polariscope::flow::Matrix>;
