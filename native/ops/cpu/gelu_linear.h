// A product with its GELU computed by gelu.h instead of oneDNN: piece by piece, a thread each, while the
// piece lies in the thread's cache.
#pragma once
#include "band_problem.h"
#include "onednn_linear.h"

namespace longformer::cpu {

// True where the product was one that this can do: packed, with "gelu", without a residual, in a layout that
// can be cut, large enough for all threads; nothing was written otherwise. `element`: of the output [rows,
// outputs].
bool multiply_with_gelu(const Product& product, Element element);

}  // namespace longformer::cpu
