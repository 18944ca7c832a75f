// Views: their sizes and strides.
#include <algorithm>

#include "tensor.h"

namespace longformer {

int64_t wrapped_dimension(int64_t dimension, int64_t dimensions) {
  LONGFORMER_CHECK_INDEX(dimension >= -dimensions && dimension < dimensions, "longformer: a tensor of ",
                         dimensions, " dimensions has no dimension ", dimension);
  return dimension < 0 ? dimension + dimensions : dimension;
}

std::vector<int64_t> row_major_strides(IntList sizes) {
  std::vector<int64_t> strides(sizes.size());
  row_major_strides(sizes, strides.data());
  return strides;
}

void row_major_strides(IntList sizes, int64_t* strides) {
  int64_t step = 1;
  for (size_t i = sizes.size(); i-- > 0; step *= std::max<int64_t>(sizes[i], 1)) strides[i] = step;
}

namespace {

// Up to kMost integers, kept in place: a view of fewer dimensions allocates nothing. More are refused.
class Dimensions {
 public:
  static constexpr size_t kMost = 16;
  Dimensions() = default;
  explicit Dimensions(IntList list) {
    resize(list.size());
    std::copy(list.begin(), list.end(), values_);
  }
  void resize(size_t size, int64_t value = 0) {
    LONGFORMER_CHECK_VALUE(size <= kMost, "longformer: a tensor has at most ", kMost,
                           " dimensions here, given ", size);
    if (size > size_) std::fill(values_ + size_, values_ + size, value);
    size_ = size;
  }
  void erase(size_t i) {
    std::copy(values_ + i + 1, values_ + size_, values_ + i);
    --size_;
  }
  void insert(size_t i, int64_t value) {
    resize(size_ + 1);
    std::copy_backward(values_ + i, values_ + size_ - 1, values_ + size_);
    values_[i] = value;
  }
  size_t size() const { return size_; }
  int64_t& operator[](size_t i) { return values_[i]; }
  int64_t operator[](size_t i) const { return values_[i]; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + size_; }
  operator IntList() const { return {values_, size_}; }

 private:
  int64_t values_[kMost];
  size_t size_ = 0;
};

// Sizes and strides of a view that is being made.
struct Shape {
  Dimensions sizes, strides;
  int64_t first = 0;
  const Tensor& of;
  explicit Shape(const Tensor& t) : sizes(t.sizes()), strides(t.strides()), of(t) {}
  size_t at(int64_t dimension) const {
    return static_cast<size_t>(wrapped_dimension(dimension, static_cast<int64_t>(sizes.size())));
  }
  void erase(size_t d) {
    sizes.erase(d);
    strides.erase(d);
  }
  void insert(size_t d, int64_t size, int64_t stride) {
    sizes.insert(d, size);
    strides.insert(d, stride);
  }
  Tensor view() const { return of.view_at(sizes, strides, first); }
};

// The wanted sizes, with a -1 replaced by the number of remaining elements.
Dimensions whole_sizes(IntList wanted, int64_t elements) {
  Dimensions sizes(wanted);
  int64_t* const open = std::find(sizes.begin(), sizes.end(), -1);
  int64_t product = 1;
  for (const int64_t* i = sizes.begin(); i != sizes.end(); ++i)
    if (i != open) product *= *i;
  if (open != sizes.end() && product > 0) *open = elements / product;
  const bool fits = open == sizes.end() ? product == elements : product > 0 && product * *open == elements;
  LONGFORMER_CHECK_VALUE(fits, "longformer: ", elements, " elements have no shape ", wanted);
  return sizes;
}

// Computes the strides with which sizes visit the same elements in the same order; false where there are
// none.
// Splits each run of dimensions that are contiguous in memory again.
bool strides_for(IntList old_sizes, IntList old_strides, int64_t elements, IntList sizes,
                 Dimensions& strides) {
  strides.resize(sizes.size(), 1);
  if (elements == 0) {
    row_major_strides(sizes, strides.begin());
    return true;
  }
  size_t to = sizes.size();
  int64_t run = 1, inner = old_strides.empty() ? 1 : old_strides.back();
  for (size_t from = old_sizes.size(); from-- > 0;) {
    run *= old_sizes[from];
    if (from > 0 && (old_sizes[from - 1] == 1 || old_strides[from - 1] == run * inner)) continue;
    int64_t made = 1;
    while (to > 0 && (made < run || sizes[to - 1] == 1)) {
      strides[--to] = made * inner;
      made *= sizes[to];
    }
    if (made != run) return false;
    run = 1;
    if (from > 0) inner = old_strides[from - 1];
  }
  return to == 0 || std::all_of(sizes.begin(), sizes.begin() + to, [](int64_t s) { return s == 1; });
}

}  // namespace

Tensor Tensor::narrow(int64_t dimension, int64_t start, int64_t length) const {
  Shape s(*this);
  const size_t d = s.at(dimension);
  LONGFORMER_CHECK_INDEX(start >= 0 && length >= 0 && start + length <= s.sizes[d], "longformer: ", start,
                         " to ", start + length, " is no part of a dimension of ", s.sizes[d]);
  s.sizes[d] = length;
  s.first += start * s.strides[d];
  return s.view();
}

Tensor Tensor::select(int64_t dimension, int64_t index) const {
  Shape s(*this);
  const size_t d = s.at(dimension);
  LONGFORMER_CHECK_INDEX(index >= -s.sizes[d] && index < s.sizes[d], "longformer: ", index,
                         " is no position in a dimension of ", s.sizes[d]);
  s.first += (index < 0 ? index + s.sizes[d] : index) * s.strides[d];
  s.erase(d);
  return s.view();
}

Tensor Tensor::transpose(int64_t first, int64_t second) const {
  Shape s(*this);
  std::swap(s.sizes[s.at(first)], s.sizes[s.at(second)]);
  std::swap(s.strides[s.at(first)], s.strides[s.at(second)]);
  return s.view();
}

Tensor Tensor::permute(IntList dimensions) const {
  const Shape old(*this);
  Shape s = old;
  LONGFORMER_CHECK_VALUE(dimensions.size() == s.sizes.size(), "longformer: ", dimensions, " does not order ",
                         s.sizes.size(), " dimensions");
  for (size_t i = 0; i < dimensions.size(); ++i) {
    s.sizes[i] = old.sizes[old.at(dimensions[i])];
    s.strides[i] = old.strides[old.at(dimensions[i])];
  }
  return s.view();
}

Tensor Tensor::unsqueeze(int64_t dimension) const {
  Shape s(*this);
  const auto i = static_cast<size_t>(wrapped_dimension(dimension, dim() + 1));
  s.insert(i, 1, i < s.sizes.size() ? s.sizes[i] * s.strides[i] : 1);
  return s.view();
}

Tensor Tensor::squeeze(int64_t dimension) const {
  Shape s(*this);
  if (s.sizes[s.at(dimension)] == 1) s.erase(s.at(dimension));
  return s.view();
}

Tensor Tensor::expand(IntList wanted) const {
  Shape s(*this);
  while (s.sizes.size() < wanted.size()) s.insert(0, 1, 0);
  for (size_t i = 0; i < s.sizes.size(); ++i) {
    const int64_t size = i < wanted.size() ? wanted[i] : 0;
    if (size == -1 || size == s.sizes[i]) continue;
    LONGFORMER_CHECK_VALUE(s.sizes[i] == 1 && wanted.size() == s.sizes.size(), "longformer: ", sizes(),
                           " does not expand to ", wanted);
    s.sizes[i] = size;
    s.strides[i] = 0;
  }
  return s.view();
}

Tensor Tensor::unfold(int64_t dimension, int64_t size, int64_t step) const {
  Shape s(*this);
  const size_t d = s.at(dimension);
  LONGFORMER_CHECK_VALUE(size >= 0 && size <= s.sizes[d] && step > 0, "longformer: no windows of ", size,
                         " every ", step, " in a dimension of ", s.sizes[d]);
  s.insert(s.sizes.size(), size, s.strides[d]);
  s.sizes[d] = (s.sizes[d] - size) / step + 1;
  s.strides[d] *= step;
  return s.view();
}

Tensor Tensor::view(IntList wanted) const {
  const Dimensions whole = whole_sizes(wanted, numel());
  Dimensions strides;
  LONGFORMER_CHECK_VALUE(strides_for(sizes(), this->strides(), numel(), whole, strides),
                         "longformer: a tensor of ", sizes(), " with strides ", this->strides(),
                         " cannot be seen as ", wanted, " without a copy");
  return view_at(whole, strides, 0);
}

Tensor Tensor::reshape(IntList wanted) const {
  const Dimensions whole = whole_sizes(wanted, numel());
  if (IntList(whole) == sizes()) return *this;
  Dimensions strides;
  if (strides_for(sizes(), this->strides(), numel(), whole, strides)) return view_at(whole, strides, 0);
  row_major_strides(whole, strides.begin());
  return contiguous().view_at(whole, strides, 0);
}

Tensor Tensor::flatten(int64_t first, int64_t last) const {
  const IntList all = sizes();
  const auto from = wrapped_dimension(first, static_cast<int64_t>(all.size())),
             to = wrapped_dimension(last, static_cast<int64_t>(all.size()));
  Dimensions wanted(all.slice(0, static_cast<size_t>(from)));
  wanted.insert(wanted.size(), 1);
  for (int64_t i = from; i <= to; ++i) wanted[static_cast<size_t>(from)] *= all[static_cast<size_t>(i)];
  for (size_t i = static_cast<size_t>(to) + 1; i < all.size(); ++i) wanted.insert(wanted.size(), all[i]);
  return reshape(wanted);
}

}  // namespace longformer
