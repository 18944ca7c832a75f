// Threads of the loaded libtorch.
#pragma once
#include <cstdint>

#include "../torch/interface.h"

namespace longformer {

// How many threads an operator on this thread may use.
int get_num_threads();
bool in_parallel_region();

// Runs work(begin, end) on parts of [begin, end) of at least `grain`, on the threads of libtorch. Rethrows an
// exception of the work.
template <class Work>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Work& work);

}  // namespace longformer

#include "parallel_inline.h"
