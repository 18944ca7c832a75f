#include "isa.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <stdexcept>
#include <string>

#include "../../base/library.h"
#include "band_problem.h"
#include "product_problem.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace longformer::cpu {

namespace {
constexpr Isa kAll[] = {Isa::portable, Isa::avx2, Isa::avx512};
constexpr char kTiles[] = "amx";
}  // namespace

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

struct Choice {
  Isa isa;
  bool tiles, bfloat16;
};

#if defined(__x86_64__) && defined(__linux__)
// Linux gives a process the tile registers, 8 KiB more for every thread that uses them, when it asks.
bool tiles_are_allowed() {
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif

bool has_tiles() {
#if defined(__x86_64__) && defined(__linux__)
  static const bool has = [] {
    constexpr unsigned bfloat16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25, all = bfloat16 | tile | int8;
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & all) == all && has_bfloat16_products() &&
           processor_has(Isa::avx512) && product_kernels_tiles() != nullptr && tiles_are_allowed();
  }();
  return has;
#else
  return false;
#endif
}

// Whether a product of two bfloat16 is more than one of float32 takes: Intel's processors make half as many.
bool pairs_are_faster() {
#if defined(__x86_64__) || defined(__i386__)
  static const bool faster = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(0, &a, &b, &c, &d) != 0 && b != signature_INTEL_ebx;
  }();
  return faster;
#else
  return false;
#endif
}

// The widest where no name is given.
Choice choice_of(const char* wanted) {
  const std::vector<std::string> here = instruction_sets();
  const std::string name = wanted == nullptr ? here.back() : wanted;
  const auto is_named = [&](Isa isa) { return name == name_of(isa); };
  const bool is_known = name == kTiles || std::any_of(std::begin(kAll), std::end(kAll), is_named);
  if (!is_known)
    throw std::invalid_argument("LONGFORMER_CPU_ISA='" + name +
                                "': expected one of portable, avx2, avx512, amx");
  if (std::find(here.begin(), here.end(), name) == here.end())
    throw std::invalid_argument("LONGFORMER_CPU_ISA=" + name +
                                ": this processor (or this build) does not have it; the widest here is '" +
                                here.back() + "'");
  if (name == kTiles) return {Isa::avx512, true, true};
  const Isa isa = *std::find_if(std::begin(kAll), std::end(kAll), is_named);
  return {isa, false,
          isa == Isa::avx512 && has_bfloat16_products() && (wanted != nullptr || pairs_are_faster())};
}

// Asked for several times in every operator.
Choice choice() {
  const char* const wanted = std::getenv("LONGFORMER_CPU_ISA");
  if (wanted != nullptr && *wanted != '\0') return choice_of(wanted);
  static const Choice widest = choice_of(nullptr);
  return widest;
}

}  // namespace

bool supported(Isa isa) {
  static const bool has[] = {processor_has(Isa::portable), processor_has(Isa::avx2),
                             processor_has(Isa::avx512)};
  return has[static_cast<int>(isa)] && band_kernels(isa) != nullptr;
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Isa isa : kAll)
    if (supported(isa)) names.push_back(name_of(isa));
  if (has_tiles()) names.push_back(kTiles);
  return names;
}

Isa active_isa() {
  return choice().isa;
}

std::string active_instruction_set() {
  const Choice c = choice();
  return c.tiles ? kTiles : name_of(c.isa);
}

bool multiplies_tiles() {
  return choice().tiles;
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
  return choice().bfloat16;
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

}  // namespace longformer::cpu

namespace longformer {

LONGFORMER_REGISTER(r) {
  r.impl<cpu::multiplies_bfloat16>(torch::Key::cpu, "_multiplies_bfloat16");
}

}  // namespace longformer
