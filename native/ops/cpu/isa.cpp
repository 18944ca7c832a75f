#include "isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "../../base/library.h"
#include "band_problem.h"
#include "product_problem.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace longformer::cpu {

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::portable:
      return "portable";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

namespace {

bool processor_has(Isa isa) {
#if defined(__x86_64__) || defined(__i386__)
  // __builtin_cpu_supports also asks XGETBV whether the operating system saves the wide registers.
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx");
  switch (isa) {
    case Isa::portable:
      return true;
    case Isa::avx2:
      return avx2;  // every processor with AVX2 also has F16C
    case Isa::avx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  }
  return false;
#else
  return isa == Isa::portable;
#endif
}

Isa widest() {
  static const Isa best = supported(Isa::avx512) ? Isa::avx512
                          : supported(Isa::avx2) ? Isa::avx2
                                                 : Isa::portable;
  return best;
}

}  // namespace

bool supported(Isa isa) {
  static const bool has[] = {processor_has(Isa::portable), processor_has(Isa::avx2),
                             processor_has(Isa::avx512)};
  return has[static_cast<int>(isa)] && band_kernels(isa) != nullptr;
}

Isa active_isa() {
  const char* wanted = std::getenv("LONGFORMER_CPU_ISA");
  if (wanted == nullptr || *wanted == '\0') return widest();
  for (Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (std::string(wanted) != name_of(isa)) continue;
    if (supported(isa)) return isa;
    throw std::invalid_argument("LONGFORMER_CPU_ISA=" + std::string(wanted) +
                                ": this processor (or this build) does not have it; the widest here is '" +
                                name_of(widest()) + "'");
  }
  throw std::invalid_argument("LONGFORMER_CPU_ISA='" + std::string(wanted) +
                              "': expected one of portable, avx2, avx512");
}

bool has_bfloat16_products() {
#if defined(__x86_64__) || defined(__i386__)
  static const bool has = [] {
    __builtin_cpu_init();
    return processor_has(Isa::avx512) && __builtin_cpu_supports("avx512bf16") &&
           product_kernels_bfloat16() != nullptr;
  }();
  return has;
#else
  return false;
#endif
}

bool multiplies_bfloat16() {
  return active_isa() == Isa::avx512 && has_bfloat16_products();
}

bool has_byte_products() {
#if defined(__x86_64__) || defined(__i386__)
  static const bool wide = [] {
    __builtin_cpu_init();
    return processor_has(Isa::avx512) && __builtin_cpu_supports("avx512vnni") &&
           product_kernels_bytes_avx512() != nullptr;
  }();
  // GCC 12 has no name for AVX-VNNI: bit 4 of EAX of CPUID leaf 7, subleaf 1.
  static const bool narrow = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return processor_has(Isa::avx2) && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0 &&
           product_kernels_bytes_avx2() != nullptr;
  }();
  const Isa isa = active_isa();
  return isa == Isa::avx512 ? wide : isa == Isa::avx2 && narrow;
#else
  return false;
#endif
}

bool has_bfloat16_tiles() {
#if defined(__x86_64__) || defined(__i386__)
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 22 & 1) != 0;
  }();
  return has;
#else
  return false;
#endif
}

}  // namespace longformer::cpu

namespace longformer {

LONGFORMER_REGISTER(r) {
  r.impl<cpu::multiplies_bfloat16>(torch::Key::cpu, "_multiplies_bfloat16");
}

}  // namespace longformer
