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
#include <unordered_map>
#include <utility>

#include "driver.h"

namespace longformer::cpu {
namespace {

using dnnl::memory;

// oneDNN runs on this library's OpenMP, which is not ATen's own where libtorch brings a copy of OpenMP along.
int agree_on_threads() {
  const int threads = at::get_num_threads();
#if defined(_OPENMP)
  if (omp_get_max_threads() != threads) omp_set_num_threads(threads);
#endif
  return threads;
}

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
  std::array<int64_t, 9> fields() const {
    return {rows,   inputs, outputs, int64_t(type), packed, bias, int64_t(activation), int64_t(residual),
            threads};
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
  const memory::desc input = matrix(k.rows, k.inputs, k.type), output = matrix(k.rows, k.outputs, k.type);
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
  const Key many = {1024, inputs, outputs, type, true, true, Activation::none, Residual::none, 1};
  const memory::desc any({inputs, outputs}, data_type(type), memory::format_tag::any);
  return known.emplace(shape, describe(many, any).weights_desc()).first->second;
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

void multiply(const Product& p) {
  const Residual residual = p.residual == nullptr    ? Residual::none
                            : p.residual == p.output ? Residual::in_output
                                                     : Residual::apart;
  const Key key = {p.rows,       p.inputs, p.outputs,         p.type, p.packed, p.bias != nullptr,
                   p.activation, residual, agree_on_threads()};
  const std::shared_ptr<const Entry> entry = cache().get(key);
  const Descriptor& d = entry->descriptor;
  std::unordered_map<int, memory> arguments = {{DNNL_ARG_SRC, view(d.src_desc(), p.input)},
                                               {DNNL_ARG_WEIGHTS, view(d.weights_desc(), p.weight)},
                                               {DNNL_ARG_DST, view(d.dst_desc(), p.output)}};
  if (p.bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, view(matrix(1, p.outputs, p.type), p.bias));
  if (residual == Residual::apart) {
    const int position = p.activation == Activation::none ? 0 : 1;
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1,
                      view(d.dst_desc(), p.residual));
  }
  if (entry->scratch > 0)
    arguments.emplace(DNNL_ARG_SCRATCHPAD, view(d.scratchpad_desc(), thread_scratch(entry->scratch)));
  entry->primitive.execute(stream(), arguments);
  stream().wait();
}

int64_t created_primitives() {
  return created;
}

}  // namespace longformer::cpu

#endif  // LONGFORMER_HAS_ONEDNN
