// Which instruction set the CPU kernels use: the best that this machine has, or the one named in
// LONGFORMER_CPU_ISA.
#pragma once
#include <string>
#include <vector>

namespace longformer::cpu {

enum class Isa { portable = 0, avx2 = 1, avx512 = 2 };

const char* name_of(Isa isa);

// True when the processor (and the operating system, which must save the registers) has it and the compiler
// built it.
bool supported(Isa isa);

// The names that LONGFORMER_CPU_ISA may have here, the narrowest first. "amx" is AVX-512 with tiles.
std::vector<std::string> instruction_sets();

// The choice for this process: LONGFORMER_CPU_ISA=portable|avx2|avx512|amx, otherwise the widest supported.
// The variable is read at every call, so that a test can change it. Throws std::invalid_argument for an
// unknown or unsupported name.
Isa active_isa();
std::string active_instruction_set();

// Whether the processor multiplies bfloat16 by instructions of its own (AVX512_BF16), and this build does.
bool has_bfloat16_products();
// Whether products of bfloat16 go by them, or by tiles: not in a narrower instruction set, and pairs alone
// not on Intel's processors unless LONGFORMER_CPU_ISA asks for avx512.
bool multiplies_bfloat16();

// Whether it multiplies bytes by instructions of its own (VNNI of the width that active_isa() has), and this
// build does.
bool has_byte_products();

// Whether products of bfloat16 and of bytes go by whole tiles of 16 rows of 64 bytes (AMX): the processor has
// them, the system lets this process use them, this build does, and LONGFORMER_CPU_ISA says nothing else.
bool multiplies_tiles();

}  // namespace longformer::cpu
