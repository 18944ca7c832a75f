// Measures the machine's own speed, which benchmarks are compared with.
#pragma once

namespace longformer::cpu {

// Returns GFLOP/s of float32 multiply-adds in registers, in independent chains on all of libtorch's threads,
// with the widest instructions of this processor: the best of a few tries of about 10 ms. With one thread it
// measures the processor time of the thread, which other programs do not disturb.
double multiply_add_peak();

}  // namespace longformer::cpu
