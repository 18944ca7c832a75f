// Standing between libtorch and std::cerr.
#pragma once
#include <string_view>

namespace longformer::torch {

// From now on, for good, what libtorch's std::cerr is given goes to `keeps` first, a line at a time, and on
// to where it went before unless that returns true. Called once.
void divert_cerr(bool (*keeps)(std::string_view written));

}  // namespace longformer::torch
