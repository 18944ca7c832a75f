// The template behind parallel.h.
#pragma once

namespace longformer {
namespace torch {

void run_parallel(int64_t begin, int64_t end, int64_t grain,
                  void (*work)(int64_t begin, int64_t end, const void* context), const void* context);

}  // namespace torch

template <class Work>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Work& work) {
  torch::run_parallel(
      begin, end, grain,
      [](int64_t first, int64_t last, const void* context) {
        (*static_cast<const Work*>(context))(first, last);
      },
      &work);
}

}  // namespace longformer
