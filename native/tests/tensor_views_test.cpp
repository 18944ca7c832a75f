// The views of native/torch/views.cpp against a plain model of them on the host.
#include <algorithm>
#include <numeric>

#include "support.h"

namespace longformer::test {
namespace {

using Index = std::vector<int64_t>;

// A tensor as an array in row-major order, where every view is a copy.
struct Host {
  Index shape;
  Doubles data;

  static Host counting(const Index& shape) {
    Host h{shape, Doubles(static_cast<size_t>(
                      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())))};
    std::iota(h.data.begin(), h.data.end(), 0.0);
    return h;
  }
  double at(const Index& index) const {
    int64_t place = 0;
    for (size_t d = 0; d < shape.size(); ++d) place = place * shape[d] + index[d];
    return data[static_cast<size_t>(place)];
  }
  // The array of that shape whose element at an index is this one's at from(index).
  Host seen(const Index& as, const std::function<Index(const Index&)>& from) const {
    Host result = counting(as);
    Index index(as.size(), 0);
    for (double& value : result.data) {
      value = at(from(index));
      for (size_t d = as.size(); d-- > 0 && ++index[d] == as[d];) index[d] = 0;
    }
    return result;
  }
};

void expect_same(const Tensor& t, const Host& h) {
  ASSERT_EQ(t.sizes(), IntList(h.shape));
  ASSERT_EQ(values(t), h.data);
}

TEST(TensorViews, are_what_they_are_on_the_host) {
  const Host h = Host::counting({3, 4, 5});
  const Tensor t = tensor_of(h.data, h.shape, kDouble);
  expect_same(t.narrow(1, 1, 2), h.seen({3, 2, 5}, [](const Index& i) {
    return Index{i[0], i[1] + 1, i[2]};
  }));
  expect_same(t.narrow(-1, 5, 0), Host{{3, 4, 0}, {}});
  expect_same(t.select(0, -1), h.seen({4, 5}, [](const Index& i) { return Index{2, i[0], i[1]}; }));
  expect_same(t[1], h.seen({4, 5}, [](const Index& i) { return Index{1, i[0], i[1]}; }));
  expect_same(t.transpose(0, -1), h.seen({5, 4, 3}, [](const Index& i) { return Index{i[2], i[1], i[0]}; }));
  expect_same(t.permute({1, 2, 0}), h.seen({4, 5, 3}, [](const Index& i) {
    return Index{i[2], i[0], i[1]};
  }));
  expect_same(t[0].t(), h.seen({5, 4}, [](const Index& i) { return Index{0, i[1], i[0]}; }));
  expect_same(t.unsqueeze(1), Host{{3, 1, 4, 5}, h.data});
  expect_same(t.unsqueeze(-1), Host{{3, 4, 5, 1}, h.data});
  expect_same(t.unsqueeze(0).squeeze(0), h);
  expect_same(t.squeeze(1), h);  // not of size 1: as it is
  expect_same(t.unsqueeze(1).expand({3, 2, 4, 5}), h.seen({3, 2, 4, 5}, [](const Index& i) {
    return Index{i[0], i[2], i[3]};
  }));
  expect_same(t.expand({2, -1, 4, -1}), h.seen({2, 3, 4, 5}, [](const Index& i) {
    return Index{i[1], i[2], i[3]};
  }));
  expect_same(t.unfold(2, 3, 2), h.seen({3, 4, 2, 3}, [](const Index& i) {
    return Index{i[0], i[1], 2 * i[2] + i[3]};
  }));
  expect_same(t.unfold(0, 3, 1), h.seen({1, 4, 5, 3}, [](const Index& i) {
    return Index{i[0] + i[3], i[1], i[2]};
  }));
  expect_same(t.flatten(0, 1), Host{{12, 5}, h.data});
  expect_same(t.flatten(0, -1), Host{{60}, h.data});
  expect_same(t.view({-1, 10}), Host{{6, 10}, h.data});
  expect_same(t.as_strided({2, 2}, {7, 3}, 4), Host{{2, 2}, {4, 7, 11, 14}});
  expect_same(t[1].as_strided({2}, {1}, 4), Host{{2}, {4, 5}});  // the offset counts in the storage
}

TEST(TensorViews, share_their_elements) {
  const Tensor t = zeros({3, 4}, kFloat);
  t.transpose(0, 1).select(0, 1).narrow(0, 2, 1).fill_(7.0);
  t.view({2, 6}).select(0, 0).select(0, 0).fill_(5.0);
  t.reshape({12}).narrow(0, 3, 2).fill_(1.0);
  EXPECT_EQ(values(t), Doubles({5, 0, 0, 1, 1, 0, 0, 0, 0, 7, 0, 0}));
  // They live on without what they were made of.
  Tensor row;
  {
    const Tensor owner = full({1000, 1000}, 3.0, kFloat);
    row = owner[999];
  }
  EXPECT_EQ(max_difference(row, full({1000}, 3.0, kFloat)), 0.0);
}

// Any view of any view. A shape that the strides do not allow is refused by view, and copied by reshape.
TEST(TensorViews, can_be_made_of_one_another) {
  int refused = 0, viewed = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    Index shape;
    for (int64_t d = uniform(rng, 0, 4); d > 0; --d)
      shape.push_back(chance(rng, 0.1) ? 0 : chance(rng, 0.2) ? 1 : uniform(rng, 2, 6));
    Host h = Host::counting(shape);
    Tensor t = tensor_of(h.data, shape, kDouble);
    for (int step = 0; step < 6; ++step) {
      const int64_t rank = static_cast<int64_t>(h.shape.size()),
                    d = rank == 0 ? 0 : uniform(rng, 0, rank - 1);
      const size_t at = static_cast<size_t>(d);
      const int64_t kind = rank == 0 ? 5 : uniform(rng, 0, 5);
      Index as = h.shape;
      if (kind == 0) {
        const int64_t start = uniform(rng, 0, as[at]), length = uniform(rng, 0, as[at] - start);
        as[at] = length;
        t = t.narrow(chance(rng, 0.5) ? d : d - rank, start, length);
        h = h.seen(as, [&](Index i) {
          i[at] += start;
          return i;
        });
      } else if (kind == 1 && as[at] > 0) {
        const int64_t index = uniform(rng, 0, as[at] - 1);
        as.erase(as.begin() + d);
        t = t.select(d, chance(rng, 0.5) ? index : index - t.size(d));
        h = h.seen(as, [&](Index i) {
          i.insert(i.begin() + d, index);
          return i;
        });
      } else if (kind == 2) {
        Index order(as.size());
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), rng);
        for (size_t i = 0; i < order.size(); ++i) as[i] = h.shape[static_cast<size_t>(order[i])];
        t = t.permute(order);
        h = h.seen(as, [&](const Index& i) {
          Index from(i.size());
          for (size_t k = 0; k < i.size(); ++k) from[static_cast<size_t>(order[k])] = i[k];
          return from;
        });
      } else if (kind == 3 && as[at] > 0) {
        const int64_t size = uniform(rng, 1, as[at]), stride = uniform(rng, 1, 3);
        as[at] = (as[at] - size) / stride + 1;
        as.push_back(size);
        t = t.unfold(d, size, stride);
        h = h.seen(as, [&](Index i) {
          const int64_t inside = i.back();
          i.pop_back();
          i[at] = i[at] * stride + inside;
          return i;
        });
      } else if (kind == 4) {
        // Another shape of as many elements: two neighbours together, or one cut in two.
        if (rank >= 2 && d + 1 < rank && chance(rng, 0.6)) {
          as[at] *= as[at + 1];
          as.erase(as.begin() + d + 1);
        } else {
          const int64_t part = as[at] % 2 == 0 ? 2 : 1;
          as[at] /= part;
          as.insert(as.begin() + d + 1, part);
        }
        const Host other{as, h.data};
        try {
          expect_same(t.view(as), other);
          ++viewed;
        } catch (const ValueError&) {
          EXPECT_FALSE(t.is_contiguous());
          ++refused;
        }
        t = t.reshape(as);
        h = other;
      } else if (kind == 5) {
        const int64_t more = uniform(rng, 0, 2);
        as.insert(as.begin(), more);
        t = t.expand(as);
        h = h.seen(as, [](const Index& i) { return Index(i.begin() + 1, i.end()); });
      }
      ASSERT_NO_FATAL_FAILURE(expect_same(t, h)) << "step " << step << " of kind " << kind;
    }
  }
  EXPECT_GT(viewed, 100);
  EXPECT_GT(refused, 5);
}

TEST(TensorViews, that_cannot_be_are_refused) {
  const Tensor t = zeros({3, 4}, kFloat);
  const auto refused = [](const std::function<void()>& work) { return !any_error(work).empty(); };
  EXPECT_TRUE(refused([&] { t.narrow(1, 2, 3); }));
  EXPECT_TRUE(refused([&] { t.narrow(1, -1, 2); }));
  EXPECT_TRUE(refused([&] { t.narrow(2, 0, 1); }));
  EXPECT_TRUE(refused([&] { t.select(0, 3); }));
  EXPECT_TRUE(refused([&] { t.select(0, -4); }));
  EXPECT_TRUE(refused([&] { t.size(2); }));
  EXPECT_TRUE(refused([&] { t.permute({0}); }));
  EXPECT_TRUE(refused([&] { t.expand({3, 5}); }));
  EXPECT_TRUE(refused([&] { t.expand({4}); }));
  EXPECT_TRUE(refused([&] { t.unfold(1, 5, 1); }));
  EXPECT_TRUE(refused([&] { t.unfold(1, 2, 0); }));
  EXPECT_TRUE(refused([&] { t.view({5, -1}); }));
  EXPECT_TRUE(refused([&] { t.view({3, 3}); }));
  EXPECT_TRUE(refused([&] { t.transpose(0, 1).view({12}); }));
  EXPECT_TRUE(refused([&] { t.reshape({7}); }));
  EXPECT_TRUE(refused([&] { Tensor().sizes(); }));
  const Tensor one = zeros({1}, kFloat);
  EXPECT_EQ(one.view(std::vector<int64_t>(16, 1)).dim(), 16);
  EXPECT_TRUE(refused([&] { one.view(std::vector<int64_t>(17, 1)); }));
}

}  // namespace
}  // namespace longformer::test
