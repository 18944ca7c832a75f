// longformer::_int8_quantize, _int8_pack, _int8_linear and _int8_linear_into on a CPU.
#include "int8_linear.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "../check.h"
#include "driver.h"
#include "few_rows_linear.h"
#include "isa.h"
#include "multiply.h"

namespace longformer {
namespace cpu {
namespace {

constexpr int64_t kRowsAtOnce = 16;
// Rows that the kernel of a few rows takes at once: its scratch stays in the second-level cache.
constexpr int64_t kWeightsOnlyRows = 32;

// Nearest, ties to even: what the vector kernels do with the input. |x| is at most 127.
inline int32_t nearest(float x) {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23
  return int32_t((x + magic) - magic);
}

void quantize_row(const float* from, int64_t count, int8_t* to, float* scale) {
  float largest = 0, poison = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float size = std::fabs(from[i]);
    largest = size > largest ? size : largest;
    poison += from[i] * 0.0f;
  }
  check_int8_values(poison == 0);
  *scale = largest / kInt8Largest;
  // A subnormal scale has no inverse: so small a row counts as zeros.
  const float inverse = *scale >= std::numeric_limits<float>::min() ? kInt8Largest / largest : 0;
  for (int64_t i = 0; i < count; ++i) to[i] = int8_t(nearest(from[i] * inverse));
}

template <class Cell>
void pack_panel(const int8_t* weight, int64_t inputs, int64_t outputs, int64_t panel, Cell* packed,
                int32_t* offsets) {
  constexpr int64_t in_cell = 4 / int64_t(sizeof(Cell)), offset = sizeof(Cell) == 1 ? 128 : 0;
  const int64_t cells = padded_cells((inputs + in_cell - 1) / in_cell), first = panel * kPanel,
                count = std::min(kPanel, outputs - first);
  Cell* const to = packed + panel * kPanel * cells * in_cell;
  std::memset(to, 0, size_t(kPanel * cells) * 4);
  for (int64_t o = 0; o < kPanel; ++o) {
    int32_t sum = 0;
    const int8_t* const row = weight + (first + o) * inputs;
    for (int64_t i = 0; o < count && i < inputs; ++i) {
      to[(i / in_cell * kPanel + o) * in_cell + i % in_cell] = row[i];
      sum += row[i];
    }
    offsets[first + o] = sum * int32_t(offset);
  }
}

}  // namespace

std::tuple<Tensor, Tensor> quantize_rows(const Tensor& weight) {
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  const Tensor from = weight.contiguous(), to = empty({outputs, inputs}, kChar),
               scale = empty({outputs}, kFloat);
  for_each_unit((outputs + kRowsAtOnce - 1) / kRowsAtOnce, [&](int64_t unit) {
    const int64_t first = unit * kRowsAtOnce, count = std::min(kRowsAtOnce, outputs - first);
    const Tensor rows = from.narrow(0, first, count).to(kFloat).contiguous();
    for (int64_t r = 0; r < count; ++r)
      quantize_row(rows.data_ptr<float>() + r * inputs, inputs, to.data_ptr<int8_t>() + (first + r) * inputs,
                   scale.data_ptr<float>() + first + r);
  });
  return {to, scale};
}

ScalarType int8_packed_as() {
  return has_byte_products() ? kChar : kShort;
}

const ProductKernels* int8_kernels(ScalarType packed) {
  const Isa isa = active_isa();
  if (packed == kChar)
    return multiplies_tiles()   ? product_kernels_byte_tiles()
           : isa == Isa::avx512 ? product_kernels_bytes_avx512()
                                : product_kernels_bytes_avx2();
  return isa == Isa::avx512 ? product_kernels_shorts_avx512()
         : isa == Isa::avx2 ? product_kernels_shorts_avx2()
                            : product_kernels_shorts_portable();
}

namespace {

// Elements of the packed form: the cells, then the offsets of all outputs.
int64_t packed_elements(ScalarType as, int64_t inputs, int64_t outputs) {
  const int64_t in_cell = 4 / element_size(as);
  return in_cell * (packed_cells((inputs + in_cell - 1) / in_cell, outputs) + panels_of(outputs) * kPanel);
}

}  // namespace

bool is_packed_int8(const Tensor& packed, int64_t inputs, int64_t outputs) {
  const ScalarType type = packed.scalar_type();
  return (type == kShort || (type == kChar && has_byte_products())) && packed.is_cpu() &&
         packed.is_strided() && packed.is_contiguous() && packed.dim() == 1 &&
         packed.numel() == packed_elements(type, inputs, outputs);
}

Tensor pack_int8(const Tensor& weight, ScalarType as) {
  const int64_t outputs = weight.size(0), inputs = weight.size(1), in_cell = 4 / element_size(as),
                panels = panels_of(outputs);
  const Tensor from = weight.contiguous(), packed = empty({packed_elements(as, inputs, outputs)}, as);
  auto* const offsets =
      static_cast<int32_t*>(packed.data_ptr()) + packed_cells((inputs + in_cell - 1) / in_cell, outputs);
  for_each_unit(panels, [&](int64_t panel) {
    if (as == kChar)
      pack_panel(from.data_ptr<int8_t>(), inputs, outputs, panel, packed.data_ptr<int8_t>(), offsets);
    else
      pack_panel(from.data_ptr<int8_t>(), inputs, outputs, panel, packed.data_ptr<int16_t>(), offsets);
  });
  return packed;
}

}  // namespace cpu

namespace {

std::tuple<Tensor, Tensor> int8_quantize(const Tensor& weight) {
  check_int8_quantize(weight);
  return cpu::quantize_rows(weight);
}

Tensor int8_pack(const Tensor& weight) {
  check_int8_weight("_int8_pack", weight);
  return cpu::pack_int8(weight, cpu::int8_packed_as());
}

void multiply_into(const Int8Linear& linear, const Tensor& out) {
  if (out.numel() == 0) return;
  const int64_t inputs = linear.weight.size(1), outputs = linear.weight.size(0);
  const Tensor x = linear.input.reshape({-1, inputs}), scale = linear.scale.contiguous();
  const Tensor b = linear.bias.defined() ? linear.bias.contiguous() : Tensor(),
               r = linear.residual.defined() ? linear.residual.contiguous() : Tensor();
  const Tensor y = out.is_contiguous() ? out : empty(out.sizes(), out.options());
  if (linear.packed.defined()) {
    cpu::Product product = {
        x.stride(1) == 1 ? x : x.contiguous(), linear.packed, outputs, b, linear.activation, r, y};
    product.weight_scale = scale;
    cpu::multiply(product);
  } else {
    const Tensor rows = y.view({-1, outputs}), added = r.defined() ? r.view({-1, outputs}) : r;
    for (int64_t first = 0; first < x.size(0); first += cpu::kWeightsOnlyRows) {
      const int64_t count = std::min(cpu::kWeightsOnlyRows, x.size(0) - first);
      cpu::few_rows_linear(x.narrow(0, first, count), linear.weight, b, linear.activation,
                           added.defined() ? added.narrow(0, first, count) : added,
                           rows.narrow(0, first, count), scale);
    }
  }
  if (!out.is_same(y)) out.copy_(y);
}

Tensor int8_linear(const Tensor& input, const Tensor& weight, const Tensor& scale, const OptionalTensor& bias,
                   const OptionalTensor& packed, std::string_view activation,
                   const OptionalTensor& residual) {
  const Int8Linear linear =
      check_int8_linear("_int8_linear", input, weight, scale, bias, packed, activation, residual);
  const Tensor out = empty(linear.shape, input.options());
  multiply_into(linear, out);
  return out;
}

void int8_linear_into(const Tensor& input, const Tensor& weight, const Tensor& scale,
                      const OptionalTensor& bias, const OptionalTensor& packed, std::string_view activation,
                      const OptionalTensor& residual, const Tensor& out) {
  const Int8Linear linear =
      check_int8_linear("_int8_linear_into", input, weight, scale, bias, packed, activation, residual, out);
  check_apart("_int8_linear_into", out, input);
  multiply_into(linear, out);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<int8_quantize>(torch::Key::cpu, "_int8_quantize");
  r.impl<int8_pack>(torch::Key::cpu, "_int8_pack");
  r.impl<int8_linear>(torch::Key::cpu, "_int8_linear");
  r.impl<int8_linear_into>(torch::Key::cpu, "_int8_linear_into");
}

}  // namespace longformer
