// Sums the lanes of as many vectors as a vector has lanes into one vector. This takes half the additions of
// separate sums and no scalar steps.
#pragma once

namespace {

// Interleaving and adding halves the vectors; which of the two a sum came from is then the lowest bit of its
// lane. So the vectors are taken in the order that leaves their sums in order.
template <class V, int COUNT, int STRIDE>
inline __attribute__((always_inline)) typename V::T lane_sums(const typename V::S* vectors) {
  if constexpr (COUNT == 1) {
    return V::load(vectors);
  } else {
    const typename V::T even = lane_sums<V, COUNT / 2, STRIDE * 2>(vectors),
                        odd = lane_sums<V, COUNT / 2, STRIDE * 2>(vectors + STRIDE * V::lanes);
    return V::add(V::interleave_low(even, odd), V::interleave_high(even, odd));
  }
}

// Lane i of the result is the sum of vectors[i * lanes .. (i + 1) * lanes).
template <class V>
inline typename V::T lane_sums(const typename V::S* vectors) {
  return lane_sums<V, V::lanes, 1>(vectors);
}

}  // namespace
