// The machine's own speed, for benchmarks to be compared with.
#pragma once

namespace longformer::cpu {

// GFLOP/s of float32 multiply-adds in registers, in independent chains on all of libtorch's threads, with the
// widest instructions of this processor; the best of a few tries of about 10 ms. With one thread it goes by
// the processor time of the thread, which stays meaningful when other programs want the processor.
double multiply_add_peak();

}  // namespace longformer::cpu
