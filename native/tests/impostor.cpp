// Stands in for a libtorch_cpu.so that cannot be used. Before 2.10 libtorch had no aoti_torch_abi_version
// with such a number, long before it had no such function at all.
#include <cstdint>

extern "C" __attribute__((visibility("default"))) uint64_t
#if defined(LONGFORMER_IMPOSTOR_OLD)
aoti_torch_abi_version() {
  return (uint64_t{2} << 56) | (uint64_t{9} << 48);
}
#elif defined(LONGFORMER_IMPOSTOR_INCOMPLETE)
aoti_torch_abi_version() {
  return (uint64_t{2} << 56) | (uint64_t{99} << 48);
}
#else
of_another_name() {
  return 0;
}
#endif
