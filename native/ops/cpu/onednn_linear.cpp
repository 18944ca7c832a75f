#include "onednn_linear.h"

#if defined(LONGFORMER_HAS_ONEDNN)

#include <ATen/Parallel.h>
#include <dnnl.hpp>
#if defined(_OPENMP)
#include <omp.h>
#endif

#include <array>
#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "driver.h"

namespace longformer::cpu {
namespace {

using dnnl::memory;

// oneDNN runs on this library's OpenMP, which is not ATen's own where libtorch brings a copy of OpenMP along.
int use_threads(int threads) {
#if defined(_OPENMP)
  if (omp_get_max_threads() != threads) omp_set_num_threads(threads);
#endif
  return threads;
}
int agree_on_threads() {
  return use_threads(at::get_num_threads());
}

// One thread for oneDNN as long as this lives, also where it does not know that others are at work.
class Alone {
 public:
#if defined(_OPENMP)
  Alone() : before_(omp_get_max_threads()) {
    use_threads(1);
  }
  ~Alone() {
    use_threads(before_);
  }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  int before_;
#endif
};

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

dnnl::stream& stream() {
  static thread_local dnnl::stream of_this_thread(engine());
  return of_this_thread;
}

memory::data_type data_type(ProductType type) {
  return type == ProductType::bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

memory::desc matrix(int64_t rows, int64_t columns, ProductType type) {
  return memory::desc({rows, columns}, data_type(type), memory::format_tag::ab);
}
// A weight is [outputs, inputs] in memory and [inputs, outputs] to oneDNN.
memory::desc plain_weight(int64_t inputs, int64_t outputs, ProductType type) {
  return memory::desc({inputs, outputs}, data_type(type), memory::format_tag::ba);
}

enum class Residual : int { none, apart, in_output };

struct Key {
  int64_t rows, inputs, outputs;
  ProductType type;
  bool packed, bias;
  Activation activation;
  Residual residual;
  int threads;
  ProductType result;
  std::array<int64_t, 10> fields() const {
    return {
        rows,    inputs,         outputs, int64_t(type), packed, bias, int64_t(activation), int64_t(residual),
        threads, int64_t(result)};
  }
  bool operator<(const Key& other) const { return fields() < other.fields(); }
};

using Descriptor = dnnl::matmul::primitive_desc;

Descriptor describe(const Key& k, const memory::desc& weight) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops after;
  const auto append = [&after](dnnl::algorithm algorithm) {
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(algorithm, 0.0f, 0.0f);
#else
    after.append_eltwise(1.0f, algorithm, 0.0f, 0.0f);
#endif
  };
  switch (k.activation) {
    case Activation::none:
      break;
    case Activation::gelu:
      append(dnnl::algorithm::eltwise_gelu_erf);
      break;
    case Activation::gelu_tanh:
      append(dnnl::algorithm::eltwise_gelu_tanh);
      break;
    case Activation::relu:
      append(dnnl::algorithm::eltwise_relu);
      break;
    case Activation::tanh:
      append(dnnl::algorithm::eltwise_tanh);
      break;
  }
  const memory::desc input = matrix(k.rows, k.inputs, k.type), output = matrix(k.rows, k.outputs, k.result);
  const memory::desc bias = k.bias ? matrix(1, k.outputs, k.type) : memory::desc();
  if (k.residual == Residual::apart) after.append_binary(dnnl::algorithm::binary_add, output);
  if (k.residual == Residual::in_output) after.append_sum(1.0f);
  attributes.set_post_ops(after);
#if DNNL_VERSION_MAJOR >= 3
  return Descriptor(engine(), input, weight, bias, output, attributes);
#else
  return Descriptor(dnnl::matmul::desc(input, weight, bias, output), attributes, engine());
#endif
}

// The layout that oneDNN likes best for many rows; it serves every number of rows, if not as the very best
// for one.
memory::desc packed_weight(int64_t inputs, int64_t outputs, ProductType type) {
  using Shape = std::array<int64_t, 3>;
  static std::mutex mutex;
  static std::map<Shape, memory::desc> known;
  const Shape shape = {inputs, outputs, int64_t(type)};
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = known.find(shape);
  if (found != known.end()) return found->second;
  const Key many = {1024, inputs, outputs, type, true, true, Activation::none, Residual::none, 1, type};
  const memory::desc any({inputs, outputs}, data_type(type), memory::format_tag::any);
  return known.emplace(shape, describe(many, any).weights_desc()).first->second;
}

// How a packed weight lies in memory, as far as its columns go.
struct Layout {
  int64_t block = 0, block_stride = 0, row_stride = 0;  // columns that lie together; 0: no such layout
  std::vector<int64_t> inner;
  bool operator==(const Layout& other) const {
    return block == other.block && block_stride == other.block_stride && row_stride == other.row_stride &&
           inner == other.inner;
  }
};

Layout layout_of(const memory::desc& weight) {
  Layout layout;
#if DNNL_VERSION_MAJOR >= 3
  if (weight.get_format_kind() != memory::format_kind::blocked) return layout;
  const int count = weight.get_inner_nblks();
  const auto sizes = weight.get_inner_blks(), dimensions = weight.get_inner_idxs(),
             strides = weight.get_strides();
#else
  if (weight.data.format_kind != dnnl_blocked) return layout;
  const dnnl_blocking_desc_t& blocking = weight.data.format_desc.blocking;
  const int count = blocking.inner_nblks;
  const auto &sizes = blocking.inner_blks, &dimensions = blocking.inner_idxs, &strides = blocking.strides;
#endif
  layout.block = 1;
  for (int i = 0; i < count; ++i) {
    layout.inner.push_back(sizes[i]);
    layout.inner.push_back(dimensions[i]);
    if (dimensions[i] == 1) layout.block *= sizes[i];
  }
  layout.row_stride = strides[0];
  layout.block_stride = strides[1];
  return layout;
}

struct Entry {
  Descriptor descriptor;
  dnnl::matmul primitive;
  size_t scratch;
  explicit Entry(const Descriptor& d)
      : descriptor(d), primitive(d), scratch(d.scratchpad_desc().get_size()) {}
};

std::atomic<int64_t> created{0};

// The least recently used primitives go when there are more than this: a process that sees ever new numbers
// of rows.
constexpr size_t kMostPrimitives = 512;

class Cache {
 public:
  std::shared_ptr<const Entry> get(const Key& key) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = index_.find(key);
      if (found != index_.end()) {
        order_.splice(order_.begin(), order_, found->second);
        return found->second->second;
      }
    }
    // Created outside the lock; if two threads do so at once, one of the two is dropped.
    const memory::desc weight = key.packed ? packed_weight(key.inputs, key.outputs, key.type)
                                           : plain_weight(key.inputs, key.outputs, key.type);
    auto entry = std::make_shared<const Entry>(describe(key, weight));
    ++created;
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = index_.find(key);
    if (found != index_.end()) return found->second->second;
    order_.emplace_front(key, entry);
    index_[key] = order_.begin();
    if (order_.size() > kMostPrimitives) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    return entry;
  }

 private:
  using Order = std::list<std::pair<Key, std::shared_ptr<const Entry>>>;
  std::mutex mutex_;
  Order order_;
  std::map<Key, Order::iterator> index_;
};

Cache& cache() {
  static Cache all;
  return all;
}

memory view(const memory::desc& layout, const void* data) {
  return {layout, engine(), const_cast<void*>(data)};
}

}  // namespace

bool onednn_has_fast_bfloat16() {
  const int wanted = static_cast<int>(dnnl::cpu_isa::avx512_core_bf16);
  static const bool has = (static_cast<int>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
  return has;
}

size_t packed_bytes(int64_t inputs, int64_t outputs, ProductType type) {
  return packed_weight(inputs, outputs, type).get_size();
}

void pack_weight(const void* weight, int64_t inputs, int64_t outputs, ProductType type, void* packed) {
  agree_on_threads();
  memory from = view(plain_weight(inputs, outputs, type), weight),
         to = view(packed_weight(inputs, outputs, type), packed);
  dnnl::reorder(from, to).execute(stream(), from, to);
  stream().wait();
}

namespace {

Key key_of(const Product& p, int threads, ProductType result) {
  const Residual residual = p.residual == nullptr    ? Residual::none
                            : p.residual == p.output ? Residual::in_output
                                                     : Residual::apart;
  return {p.rows,       p.inputs, p.outputs, p.type, p.packed, p.bias != nullptr,
          p.activation, residual, threads,   result};
}

// The thread's scratch begins with `kept` bytes that the primitive does not use.
void execute(const Product& p, const Entry& entry, Residual residual, void* output, size_t kept) {
  const Descriptor& d = entry.descriptor;
  std::unordered_map<int, memory> arguments = {{DNNL_ARG_SRC, view(d.src_desc(), p.input)},
                                               {DNNL_ARG_WEIGHTS, view(d.weights_desc(), p.weight)},
                                               {DNNL_ARG_DST, view(d.dst_desc(), output)}};
  if (p.bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, view(matrix(1, p.outputs, p.type), p.bias));
  if (residual == Residual::apart) {
    const int position = p.activation == Activation::none ? 0 : 1;
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1,
                      view(d.dst_desc(), p.residual));
  }
  if (entry.scratch > 0)
    arguments.emplace(
        DNNL_ARG_SCRATCHPAD,
        view(d.scratchpad_desc(), static_cast<char*>(thread_scratch(kept + entry.scratch)) + kept));
  entry.primitive.execute(stream(), arguments);
  stream().wait();
}

// To be called by one that is Alone: a primitive is made for the threads of its time.
std::shared_ptr<const Entry> alone_entry(const Product& p) {
  return cache().get(key_of(p, 1, ProductType::float32));
}

}  // namespace

const void* packed_columns(const void* packed, int64_t inputs, int64_t outputs, ProductType type,
                           int64_t first, int64_t count) {
  const Layout whole = layout_of(packed_weight(inputs, outputs, type)),
               part = layout_of(packed_weight(inputs, count, type));
  if (whole.block == 0 || !(whole == part) || first % whole.block != 0) return nullptr;
  if (count % whole.block != 0 && first + count != outputs) return nullptr;
  const int64_t size = type == ProductType::bfloat16 ? 2 : 4;
  return static_cast<const char*>(packed) + first / whole.block * whole.block_stride * size;
}

void multiply(const Product& p) {
  const Key key = key_of(p, agree_on_threads(), p.type);
  execute(p, *cache().get(key), key.residual, p.output, 0);
}

bool can_multiply_alone(const Product& p) {
  const Alone alone;
  try {
    const std::string name = alone_entry(p)->descriptor.impl_info_str();
    return name.find("ref") == std::string::npos;
  } catch (const dnnl::error&) {
    return false;
  }
}

const float* multiply_alone(const Product& p) {
  const Alone alone;
  const std::shared_ptr<const Entry> entry = alone_entry(p);
  const size_t bytes = (size_t(p.rows * p.outputs) * sizeof(float) + 4095) / 4096 * 4096;
  // Taken at once for both, since taking more may move it.
  float* output = static_cast<float*>(thread_scratch(bytes + entry->scratch));
  execute(p, *entry, Residual::none, output, bytes);
  return output;
}

int64_t created_primitives() {
  return created;
}

}  // namespace longformer::cpu

#endif  // LONGFORMER_HAS_ONEDNN
