// Which instruction set the CPU kernels use: the best that this machine has, or the one named in
// LONGFORMER_CPU_ISA.
#pragma once

namespace longformer::cpu {

enum class Isa { portable = 0, avx2 = 1, avx512 = 2 };

const char* name_of(Isa isa);

// True when the processor (and the operating system, which must save the registers) has it and the compiler
// built it.
bool supported(Isa isa);

// The choice for this process: LONGFORMER_CPU_ISA=portable|avx2|avx512, otherwise the widest supported. The
// variable is read at every call, so that a test can change it. Throws std::invalid_argument for an unknown
// or unsupported name.
Isa active_isa();

// Whether the processor multiplies bfloat16 by instructions of its own (AVX512_BF16), and this build does.
bool has_bfloat16_products();
// And active_isa() has them.
bool multiplies_bfloat16();

// Whether it multiplies bytes by instructions of its own (VNNI of the width that active_isa() has), and this
// build does.
bool has_byte_products();

// Whether it multiplies whole tiles of bfloat16 (AMX_BF16).
bool has_bfloat16_tiles();

}  // namespace longformer::cpu
