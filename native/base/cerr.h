// Intercepts what libtorch writes to std::cerr.
#pragma once
#include <string_view>

namespace longformer::torch {

// Passes each line that libtorch writes to std::cerr to `keeps`, and on to its former destination unless that
// returns true. Called once; never undone.
void divert_cerr(bool (*keeps)(std::string_view written));

}  // namespace longformer::torch
