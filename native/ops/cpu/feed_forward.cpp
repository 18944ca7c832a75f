// longformer::_feed_forward_: what an encoder layer does behind its attention. With enough rows each thread
// takes some of them through all five steps: the weights come from the third-level cache or from memory once
// for these rows, everything else stays in the second-level cache, and threads wait for each other once, at
// the end. Step by step a block of rows would pass through memory, and all threads would meet five times a
// block. With fewer rows the threads share each product instead.
#include "../operators.h"
#include "driver.h"
#include "multiply.h"
#include "norm_backward.h"
#include "norm_problem.h"
#include "product_problem.h"
#include "products.h"

namespace longformer {

using namespace cpu;

namespace {

constexpr const char* kName = "_feed_forward_";
// A thread that is held up does not hold up the others where each has at least so many units, and a unit of
// fewer rows would read the weights too often.
constexpr int64_t kUnitsPerThread = 2, kLeastRows = 64;
// Rows of a step where the threads share it: the intermediate states fit the third-level cache.
constexpr int64_t kStepRows = 512;

struct Norm {
  const Tensor &weight, &bias;
  double eps;
};

struct FeedForward {
  Tensor context, hidden;  // [N, A], [N, C]; the result takes the place of the context
  Linear attention, inner, output;
  Norm attention_norm, output_norm;
};

// A product by the kernels of multiply.h, but for its rows.
struct Product {
  ProductProblem problem;
  const ProductKernels* kernels;
  Tensor bias;

  explicit Product(const Linear& linear) : bias(linear.bias.contiguous()) {
    const ScalarType type = linear.packed.scalar_type();
    kernels = product_kernels_for(type);
    problem.inputs = linear.weight.size(1);
    problem.outputs = linear.weight.size(0);
    problem.cells = type == kBFloat16 ? pairs_of(problem.inputs) : problem.inputs;
    problem.packed = static_cast<const float*>(linear.packed.data_ptr());
    problem.element = problem.bias_element = problem.input.element = element_of(bias);
    problem.bias = bias.data_ptr();
    problem.activation = linear.activation;
  }
  size_t scratch(int64_t rows) {
    problem.rows = rows;
    return multiply_rows_scratch(problem, *kernels);
  }
  // Rows that are so many elements apart, in input and output.
  void run(const void* input, int64_t stride, int64_t rows, void* output, int64_t output_stride,
           void* scratch) const {
    ProductProblem p = problem;
    p.rows = rows;
    p.input.data = input;
    p.input.stride = stride;
    p.output = output;
    p.output_stride = output_stride;
    multiply_rows(p, *kernels, scratch);
  }
};

// A normalization, but for its rows.
struct RowNorm {
  NormProblem problem;
  Tensor weight, bias;

  RowNorm(const Norm& norm, Element element)
      : weight(norm.weight.contiguous()), bias(norm.bias.contiguous()) {
    problem.element = element;
    problem.columns = problem.input_stride = problem.residual_stride = weight.size(0);
    problem.padded_columns = (problem.columns + 15) / 16 * 16;
    problem.eps = norm.eps;
    problem.weight = weight.data_ptr();
    problem.bias = bias.data_ptr();
  }
  size_t scratch() const { return 4 * size_t(problem.padded_columns) * sizeof(float); }
  // Of rows one behind the other; the output may be the input.
  void run(const void* input, const void* residual, int64_t rows, void* output, void* scratch) const {
    NormProblem p = problem;
    p.input = input;
    p.residual = residual;
    p.output = output;
    norm_kernels(active_isa())->rows[0](p, 0, rows, scratch);
  }
};

bool has_kernel(const Linear& linear) {
  return linear.weight.numel() > 0 && linear.packed.defined() && linear.packed.numel() > 0 &&
         linear.bias.defined();
}

bool by_rows(const FeedForward& f, int64_t threads) {
  const ScalarType type = f.context.scalar_type();
  return f.context.size(0) >= kUnitsPerThread * threads * kLeastRows && has_product(type) &&
         has_kernel(f.attention) && has_kernel(f.inner) && has_kernel(f.output);
}

void rows_by_rows(const FeedForward& f, int64_t threads) {
  Product attention(f.attention), inner(f.inner), output(f.output);
  const RowNorm attention_norm(f.attention_norm, attention.problem.element),
      output_norm(f.output_norm, attention.problem.element);
  const int64_t rows = f.context.size(0), width = f.context.size(1), outputs = inner.problem.outputs,
                size = f.context.element_size();
  // Each thread has the same number of units where it can.
  const int64_t unit_rows = inner.kernels->unit_rows,
                units = ((rows + unit_rows - 1) / unit_rows + threads - 1) / threads * threads,
                most = (rows + units - 1) / units;
  // Rows of the intermediate states are a cache line more than whole pages apart, so that they share no cache
  // sets.
  const int64_t stride = outputs + 64 / size;
  const auto in_lines = [](size_t bytes) { return (bytes + 63) / 64 * 64; };
  const size_t attended_bytes = in_lines(size_t(most * width * size)),
               inner_bytes = in_lines(size_t(most * stride * size)),
               bytes = attended_bytes + inner_bytes +
                       std::max({attention.scratch(most), inner.scratch(most), output.scratch(most),
                                 attention_norm.scratch()});
  char* const context = static_cast<char*>(f.context.data_ptr());
  const char* const hidden = static_cast<const char*>(f.hidden.data_ptr());
  for_each_unit(units, [&](int64_t i) {
    const int64_t first = rows * i / units, count = rows * (i + 1) / units - first;
    char *const attended = static_cast<char*>(thread_scratch(bytes)),
                *const states = attended + attended_bytes, *const scratch = states + inner_bytes,
                *const result = context + first * width * size;
    attention.run(result, width, count, attended, width, scratch);
    attention_norm.run(attended, hidden + first * width * size, count, attended, scratch);
    inner.run(attended, width, count, states, stride, scratch);
    output.run(states, stride, count, result, width, scratch);
    output_norm.run(result, attended, count, result, scratch);
  });
}

Linear with(const Linear& linear, const Tensor& input) {
  std::vector<int64_t> shape = {input.size(0), linear.weight.size(0)};
  return {input, linear.weight, linear.bias, linear.packed, linear.residual, linear.activation, shape};
}

void step_by_step(const FeedForward& f) {
  const int64_t rows = f.context.size(0), blocks = (rows + kStepRows - 1) / kStepRows;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t first = rows * i / blocks, count = rows * (i + 1) / blocks - first;
    const Tensor context = f.context.narrow(0, first, count), hidden = f.hidden.narrow(0, first, count);
    const Tensor attended = empty(context.sizes(), context.options()),
                 states = empty({count, f.inner.weight.size(0)}, context.options());
    linear_into(with(f.attention, context), attended);
    norm_into(attended, hidden, f.attention_norm.weight, f.attention_norm.bias, f.attention_norm.eps,
              attended);
    linear_into(with(f.inner, attended), states);
    linear_into(with(f.output, states), context);
    norm_into(context, attended, f.output_norm.weight, f.output_norm.bias, f.output_norm.eps, context);
  }
}

void feed_forward(const Tensor& context, const Tensor& hidden, const Tensor& attention_weight,
                  const OptionalTensor& attention_bias, const OptionalTensor& attention_packed,
                  const Tensor& attention_norm_weight, const Tensor& attention_norm_bias,
                  double attention_norm_eps, const Tensor& inner_weight, const OptionalTensor& inner_bias,
                  const OptionalTensor& inner_packed, std::string_view activation,
                  const Tensor& output_weight, const OptionalTensor& output_bias,
                  const OptionalTensor& output_packed, const Tensor& output_norm_weight,
                  const Tensor& output_norm_bias, double output_norm_eps) {
  check_feed_forward(kName, context, hidden);
  const OptionalTensor none;
  const Tensor states = empty({0, inner_weight.dim() == 2 ? inner_weight.size(0) : 0}, context.options());
  FeedForward f = {
      context,
      hidden.contiguous(),
      check_linear(kName, context, attention_weight, attention_bias, attention_packed, "none", none),
      check_linear(kName, hidden, inner_weight, inner_bias, inner_packed, activation, none),
      check_linear(kName, states, output_weight, output_bias, output_packed, "none", none),
      {attention_norm_weight, attention_norm_bias, attention_norm_eps},
      {output_norm_weight, output_norm_bias, output_norm_eps}};
  for (const Norm* norm : {&f.attention_norm, &f.output_norm})
    check_layer_norm_like(kName, context, norm->weight, norm->bias);
  check_out(kName, context, f.attention.shape, hidden);
  check_out(kName, context, {context.size(0), output_weight.size(0)}, hidden);
  check_apart(kName, context, hidden);
  if (context.numel() == 0) return;
  const int64_t threads = get_num_threads();
  if (by_rows(f, threads))
    rows_by_rows(f, threads);
  else
    step_by_step(f);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<feed_forward>(torch::Key::cpu, "_feed_forward_");
}

}  // namespace longformer
