#include "multiply.h"

#include <algorithm>
#include <atomic>

#include "../../base/parallel.h"
#include "driver.h"
#include "int8_linear.h"
#include "isa.h"
#include "product_problem.h"

namespace longformer::cpu {
namespace {

// The bytes of that cache that a unit's sums take.
constexpr int64_t kSumBytes = int64_t(448) << 10;
// Units for each thread, so that one that is held up does not hold up the others.
constexpr int64_t kUnitsPerThread = 4;
// Cells of a weight that is packed for one product. Each part of one with many inputs reads and writes the
// output once more.
constexpr int64_t kMostPackedCells = int64_t(4) << 20;
constexpr int64_t kPanelsAtOnce = 4, kElementsAtOnce = int64_t(1) << 15;

int64_t parts_of(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

// A view of the tensor whose last dimension is contiguous, or a copy that is; `kept` holds it.
Operand operand_of(const Tensor& t, Tensor& kept) {
  Operand m;
  m.element = element_of(t);
  if (t.stride(1) == 1 || t.size(1) == 1) {
    kept = t;
  } else if (t.stride(0) == 1 || t.size(0) == 1) {
    kept = t;
    m.transposed = true;
  } else {
    kept = t.contiguous();
  }
  m.data = kept.data_ptr();
  m.stride = kept.stride(m.transposed ? 1 : 0);
  return m;
}

// So many that the sums of one fit the cache.
int64_t least_parts(int64_t rows, int64_t panels) {
  const int64_t bytes = rows * panels * kPanel * int64_t(sizeof(float));
  return std::min(panels, std::max<int64_t>(1, parts_of(bytes, kSumBytes)));
}

// How the result is cut: into blocks of rows, each into parts of panels.
struct Cut {
  int64_t blocks, parts;
};
Cut cut(int64_t rows, int64_t panels, int64_t unit_rows, int64_t threads) {
  Cut c = {parts_of(rows, unit_rows), 1};
  if (c.blocks >= threads) c.blocks = parts_of(c.blocks, threads) * threads;
  c.parts = least_parts(parts_of(rows, c.blocks), panels);
  const bool even = c.blocks % threads == 0 && c.blocks >= 2 * threads;
  if (!even) c.parts = std::max(c.parts, std::min(panels, parts_of(kUnitsPerThread * threads, c.blocks)));
  return c;
}

// Where the kernels do not sum the rows on their way.
void sum_rows_apart(const Product& product) {
  product.row_sums.copy_(product.input.sum(1));
}

}  // namespace

const ProductKernels* product_kernels_for(ScalarType packed) {
  switch (packed) {
    case kBFloat16:
      return multiplies_tiles() ? product_kernels_tiles() : product_kernels_bfloat16();
    case kChar:
    case kShort:
      return int8_kernels(packed);
    default:
      return product_kernels(active_isa());
  }
}

void multiply_rows(const ProductProblem& p, const ProductKernels& kernels, void* scratch) {
  const int64_t panels = panels_of(p.outputs), parts = least_parts(p.rows, panels);
  for (int64_t i = 0; i < parts; ++i)
    kernels.multiply(
        p, {0, p.rows, panels * i / parts, panels * (i + 1) / parts, parts_of(panels, parts), i > 0},
        scratch);
}

size_t multiply_rows_scratch(const ProductProblem& p, const ProductKernels& kernels) {
  const int64_t panels = panels_of(p.outputs);
  return product_scratch(p, kernels.depth, p.rows, parts_of(panels, least_parts(p.rows, panels))) *
         sizeof(float);
}

PackedAs packed_as(ScalarType type) {
  return type == kBFloat16 && multiplies_bfloat16() ? PackedAs::bfloat16 : PackedAs::float32;
}

bool is_packed(const Tensor& packed, PackedAs as, int64_t inputs, int64_t outputs) {
  const bool pairs = as == PackedAs::bfloat16;
  return packed.scalar_type() == (pairs ? kBFloat16 : kFloat) && packed.is_strided() &&
         packed.is_contiguous() && packed.dim() == 1 &&
         packed.numel() ==
             (pairs ? 2 * packed_cells(pairs_of(inputs), outputs) : packed_cells(inputs, outputs));
}

Tensor pack_weight(const Tensor& weight, PackedAs as) {
  const bool pairs = as == PackedAs::bfloat16;
  PackProblem p;
  Tensor kept;
  p.weight = operand_of(weight, kept);
  p.outputs = weight.size(0);
  p.inputs = weight.size(1);
  const Tensor packed = pairs ? empty({2 * packed_cells(pairs_of(p.inputs), p.outputs)}, kBFloat16)
                              : empty({packed_cells(p.inputs, p.outputs)}, kFloat);
  p.packed = static_cast<float*>(packed.data_ptr());
  const auto pack = (pairs ? product_kernels_bfloat16() : product_kernels(active_isa()))->pack;
  const int64_t panels = panels_of(p.outputs);
  for_each_unit(parts_of(panels, kPanelsAtOnce), [&](int64_t i) {
    pack(p, i * kPanelsAtOnce, std::min(panels, (i + 1) * kPanelsAtOnce),
         thread_scratch(kPackScratch * sizeof(float)));
  });
  return packed;
}

void multiply(const Product& product) {
  ProductProblem p;
  Tensor input;
  p.input = operand_of(product.input, input);
  p.rows = product.input.size(0);
  p.inputs = product.input.size(1);
  p.outputs = product.outputs;
  const ScalarType packed = product.packed.scalar_type();
  const int64_t in_cell = 4 / element_size(packed);
  p.cells = parts_of(p.inputs, in_cell);
  p.packed = static_cast<const float*>(product.packed.data_ptr());
  if (product.weight_scale.defined()) {
    p.weight_scale = product.weight_scale.data_ptr<float>();
    p.offsets = reinterpret_cast<const int32_t*>(p.packed + packed_cells(p.cells, p.outputs));
  }
  if (product.row_sums.defined()) {
    if (p.input.transposed)
      p.row_sums = product.row_sums.data_ptr<float>();
    else
      sum_rows_apart(product);
  }
  p.element = element_of(product.out);
  p.bias_element = product.bias.defined() ? element_of(product.bias) : p.element;
  p.bias = product.bias.defined() ? product.bias.data_ptr() : nullptr;
  p.activation = product.activation;
  p.residual = product.residual.defined() ? product.residual.data_ptr() : nullptr;
  p.output = product.out.data_ptr();
  p.output_stride = product.out_stride > 0 ? product.out_stride : p.outputs;
  if (p.rows == 0 || p.outputs == 0) return;
  const int64_t panels = panels_of(p.outputs), threads = get_num_threads();
  const ProductKernels& kernels = *product_kernels_for(packed);
  const Cut c = cut(p.rows, panels, kernels.unit_rows, threads);
  const int64_t units = c.blocks * c.parts;
  const int64_t most_panels = parts_of(panels, c.parts);
  const size_t bytes =
      product_scratch(p, kernels.depth, parts_of(p.rows, c.blocks), most_panels) * sizeof(float);
  const auto kernel = kernels.multiply;
  std::atomic<int64_t> next{0};
  parallel_for(0, std::min(threads, units), 1, [&](int64_t, int64_t) {
    int64_t last_block = -1;
    for (int64_t i = next++; i < units; i = next++) {
      const int64_t block = i / c.parts, part = i % c.parts;
      const ProductUnit unit = {p.rows * block / c.blocks,
                                p.rows * (block + 1) / c.blocks,
                                panels * part / c.parts,
                                panels * (part + 1) / c.parts,
                                most_panels,
                                block == last_block};
      kernel(p, unit, thread_scratch(bytes));
      last_block = block;
    }
    trim_thread_scratch();
  });
}

void multiply_plain(Product product, const Tensor& weight) {
  const PackedAs as = packed_as(product.input.scalar_type());
  const int64_t outputs = weight.size(0), inputs = weight.size(1),
                cells = as == PackedAs::bfloat16 ? pairs_of(inputs) : inputs,
                parts = parts_of(packed_cells(cells, outputs), kMostPackedCells);
  const bool whole = parts == 1, sums_are_exact = product.out.scalar_type() == kFloat;
  product.outputs = outputs;
  if (whole) {
    product.packed = pack_weight(weight, as);
    multiply(product);
    return;
  }
  if (product.row_sums.defined()) sum_rows_apart(product);
  product.row_sums = {};
  const Tensor bias = product.bias, residual = product.residual;
  if (inputs > outputs && sums_are_exact && product.activation == Activation::none) {
    // Some inputs after the other: each part adds to the sums of those before.
    const Tensor input = product.input;
    const int64_t size = parts_of(inputs, parts);
    for (int64_t first = 0; first < inputs; first += size) {
      const int64_t count = std::min(size, inputs - first);
      product.input = input.narrow(1, first, count);
      product.packed = {};  // the part before is over
      product.packed = pack_weight(weight.narrow(1, first, count), as);
      multiply(product);
      product.bias = {};
      product.residual = product.out;
    }
    return;
  }
  const Tensor out = product.out.view({-1, outputs}),
               added = residual.defined() ? residual.view({-1, outputs}) : residual;
  const int64_t size = parts_of(parts_of(outputs, parts), kPanel) * kPanel;
  product.out_stride = outputs;
  for (int64_t first = 0; first < outputs; first += size) {
    const int64_t count = std::min(size, outputs - first);
    product.outputs = count;
    product.packed = {};  // the part before is over
    product.packed = pack_weight(weight.narrow(0, first, count), as);
    product.out = out.narrow(1, first, count);
    if (bias.defined()) product.bias = bias.narrow(0, first, count);
    if (added.defined()) product.residual = added.narrow(1, first, count);
    multiply(product);
  }
}

namespace {

template <class Work>
void for_elements(const Tensor& out, const Work& work) {
  const int64_t count = out.numel(), size = out.element_size();
  for_each_unit(parts_of(count, kElementsAtOnce), [&](int64_t i) {
    const int64_t first = i * kElementsAtOnce;
    work(first * size, std::min(kElementsAtOnce, count - first));
  });
}

const char* at(const Tensor& t, int64_t bytes) {
  return static_cast<const char*>(t.data_ptr()) + bytes;
}

}  // namespace

void activate_into(const Tensor& input, Activation activation, const Tensor& residual, const Tensor& out) {
  const auto kernel = product_kernels(active_isa())->activate;
  const Element element = element_of(out);
  for_elements(out, [&](int64_t bytes, int64_t count) {
    kernel(at(input, bytes), residual.defined() ? at(residual, bytes) : nullptr,
           const_cast<char*>(at(out, bytes)), count, element, activation);
  });
}

void activate_backward_into(const Tensor& gradient, const Tensor& input, Activation activation,
                            const Tensor& out) {
  const auto kernel = product_kernels(active_isa())->activate_backward;
  const Element element = element_of(out);
  for_elements(out, [&](int64_t bytes, int64_t count) {
    kernel(at(gradient, bytes), at(input, bytes), const_cast<char*>(at(out, bytes)), count, element,
           activation);
  });
}

}  // namespace longformer::cpu
