// Small kernels that bring lists to the device and into the form that the attention kernels read.
#pragma once
#include "band.cuh"

namespace longformer::cuda {

LONGFORMER_DEVICE void store_integers(const IntegerParameters& p) {
  for (int i = thread_index(); i < p.count; i += 256) store(p.to + i, p.values[i]);
}

// A warp for each sequence: its visible global keys one after the other, in their order, and their flags.
LONGFORMER_DEVICE void list_globals(const GlobalsParameters& p) {
  const int sequence = block_x(), lane = lane_index();
  int begin, length, found = 0;
  find_sequence(sequence, p.offsets, p.length, begin, length);
  for (int first = 0; first < p.globals; first += 32) {
    const int g = first + lane;
    const long long position =
        g < p.globals ? load(p.index + static_cast<long long>(sequence) * p.globals + g) : -1;
    const int token = begin + static_cast<int>(position);
    const bool listed = position >= 0 && position < length && load(p.flags + token) != 0;
    const u32 others = ballot(listed);
    if (listed) {
      store(p.token + static_cast<long long>(sequence) * p.globals + found +
                count_bits(others & ((1u << lane) - 1u)),
            token);
      store(p.flags + token, static_cast<u8>(3));
    }
    found += count_bits(others);
  }
  if (lane == 0) store(p.count + sequence, found);
}

}  // namespace longformer::cuda
