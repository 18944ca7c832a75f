#include "peak.h"

#include <algorithm>
#include <ctime>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../../base/library.h"
#include "../../base/parallel.h"
#include "isa.h"

namespace longformer::cpu {
namespace {

constexpr long kSteps = 200000;
constexpr int kChains = 10;  // more than the latency of a multiply-add times the units that do it

double now() {
  timespec t;
  clock_gettime(get_num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

double rate(void (*chains)(), int lanes) {
  const int threads = get_num_threads();
  double best = 0;
  for (int attempt = 0; attempt < 4; ++attempt) {
    const double start = now();
    parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) chains();
    });
    best = std::max(best, threads * 2.0 * lanes * kChains * kSteps / (now() - start));
  }
  return best * 1e-9;
}

#define LONGFORMER_CHAINS(TYPE, FILL, MULTIPLY_ADD)                                  \
  const TYPE x = FILL(0.999f), y = FILL(1e-3f);                                      \
  TYPE a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x;         \
  for (long n = 0; n < kSteps; ++n) {                                                \
    a = MULTIPLY_ADD(a, x, y), b = MULTIPLY_ADD(b, x, y), c = MULTIPLY_ADD(c, x, y); \
    d = MULTIPLY_ADD(d, x, y), e = MULTIPLY_ADD(e, x, y), f = MULTIPLY_ADD(f, x, y); \
    g = MULTIPLY_ADD(g, x, y), h = MULTIPLY_ADD(h, x, y), i = MULTIPLY_ADD(i, x, y); \
    j = MULTIPLY_ADD(j, x, y);                                                       \
    LONGFORMER_KEEP(a, b, c, d, e, f, g, h, i, j);                                   \
  }

#if defined(__x86_64__)
#define LONGFORMER_KEEP(a, b, c, d, e, f, g, h, i, j) \
  asm volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f), "+x"(g), "+x"(h), "+x"(i), "+x"(j))

__attribute__((target("avx512f"), noinline)) void chains_avx512() {
  LONGFORMER_CHAINS(__m512, _mm512_set1_ps, _mm512_fmadd_ps)
}
__attribute__((target("avx2,fma"), noinline)) void chains_avx2() {
  LONGFORMER_CHAINS(__m256, _mm256_set1_ps, _mm256_fmadd_ps)
}
#else
#define LONGFORMER_KEEP(a, b, c, d, e, f, g, h, i, j) \
  asm volatile("" : "+w"(a), "+w"(b), "+w"(c), "+w"(d), "+w"(e), "+w"(f), "+w"(g), "+w"(h), "+w"(i), "+w"(j))
#endif

// Vectors of 16 bytes, which the compiler maps to what the baseline has.
typedef float Four __attribute__((vector_size(16)));
inline Four fill(float v) {
  return Four{v, v, v, v};
}
inline Four multiply_add(Four a, Four b, Four c) {
  return a * b + c;
}
#if defined(__x86_64__) || defined(__aarch64__)
__attribute__((noinline)) void chains_portable() {
  LONGFORMER_CHAINS(Four, fill, multiply_add)
}
#else
#undef LONGFORMER_KEEP
#define LONGFORMER_KEEP(a, b, c, d, e, f, g, h, i, j) asm volatile("" ::: "memory")
__attribute__((noinline)) void chains_portable() {
  LONGFORMER_CHAINS(Four, fill, multiply_add)
  volatile float sink = (a + b + c + d + e + f + g + h + i + j)[0];
  (void)sink;
}
#endif

}  // namespace

double multiply_add_peak() {
#if defined(__x86_64__)
  if (supported(Isa::avx512)) return rate(chains_avx512, 16);
  if (supported(Isa::avx2)) return rate(chains_avx2, 8);
#endif
  return rate(chains_portable, 4);
}

}  // namespace longformer::cpu

namespace longformer {

LONGFORMER_REGISTER(r) {
  r.impl<cpu::multiply_add_peak>(torch::Key::cpu, "_multiply_add_peak");
}

}  // namespace longformer
