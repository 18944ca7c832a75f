// An activation function of every element, or its derivative there times a gradient, in float32. A thread
// has a chunk of 16 bytes; the last chunk may be cut short.
#pragma once
#include "tile.cuh"

namespace longformer::cuda {

// The numbers of cpu/activation.h.
constexpr int kNoActivation = 0, kGelu = 1, kGeluTanh = 2, kRelu = 3, kTanh = 4, kSilu = 5;
constexpr float kGeluCube = 0.044715f, kGeluSlope = 0.7978845608f;

LONGFORMER_DEVICE float logistic(float x) {
  return 1.0f / (1.0f + exponential(-x));
}
LONGFORMER_DEVICE float normal_distribution(float x) {
  return 0.5f * (1.0f + error_function(x * 0.7071067812f));
}

template <int function>
LONGFORMER_DEVICE float activation_of(float x) {
  if (function == kGelu) return x * normal_distribution(x);
  if (function == kGeluTanh)
    return 0.5f * x * (1.0f + hyperbolic_tangent(kGeluSlope * (x + kGeluCube * x * x * x)));
  if (function == kRelu) return x > 0.0f || x != x ? x : 0.0f;  // NaN stays
  if (function == kTanh) return hyperbolic_tangent(x);
  if (function == kSilu) return x * logistic(x);
  return x;
}

template <int function>
LONGFORMER_DEVICE float derivative_of(float x) {
  if (function == kGelu) return normal_distribution(x) + x * 0.3989422804f * exponential(-0.5f * x * x);
  if (function == kGeluTanh) {
    const float t = hyperbolic_tangent(kGeluSlope * (x + kGeluCube * x * x * x));
    return 0.5f * (1.0f + t + x * kGeluSlope * (1.0f + 3.0f * kGeluCube * x * x) * (1.0f - t * t));
  }
  if (function == kRelu) return x != x ? x : x > 0.0f ? 1.0f : 0.0f;
  if (function == kTanh) {
    const float t = hyperbolic_tangent(x);
    return 1.0f - t * t;
  }
  if (function == kSilu) {
    const float s = logistic(x);
    return s * (1.0f + x * (1.0f - s));
  }
  return 1.0f;
}

template <int type, int function, bool backward>
LONGFORMER_DEVICE void activate(const ActivationParameters& p) {
  constexpr int per_chunk = type == kFloat32 ? 4 : 8, bytes = 16 / per_chunk;
  const long long first = (256ll * block_x() + thread_index()) * per_chunk;
  if (first >= p.count) return;
  const auto value_at = [](float x, float gradient) {
    return backward ? gradient * derivative_of<function>(x) : activation_of<function>(x);
  };
  const char *input = static_cast<const char*>(p.input) + first * bytes,
             *gradient = static_cast<const char*>(p.gradient) + first * bytes;
  char* output = static_cast<char*>(p.output) + first * bytes;
  if (first + per_chunk <= p.count) {
    const Vector x = load_vector(input), g = backward ? load_vector(gradient) : x;
    float y[per_chunk];
#pragma unroll
    for (int e = 0; e < per_chunk; ++e) y[e] = value_at(element_of<type>(x, e), element_of<type>(g, e));
    Vector out;
#pragma unroll
    for (int word = 0; word < 4; ++word)
      out.word[word] = type == kFloat32 ? bits_of(y[word])
                                        : pack<type>(y[2 * word % per_chunk], y[(2 * word + 1) % per_chunk]);
    store_vector(output, out);
    return;
  }
  for (int e = 0; e < p.count - first; ++e) {
    Vector x = {{0, 0, 0, 0}}, g = {{0, 0, 0, 0}};
    if (type == kFloat32) {
      x.word[0] = load(reinterpret_cast<const u32*>(input) + e);
      if (backward) g.word[0] = load(reinterpret_cast<const u32*>(gradient) + e);
      store(reinterpret_cast<float*>(output) + e, value_at(element_of<type>(x, 0), element_of<type>(g, 0)));
    } else {
      x.word[0] = load(reinterpret_cast<const u16*>(input) + e);
      if (backward) g.word[0] = load(reinterpret_cast<const u16*>(gradient) + e);
      const u32 out = pack<type>(value_at(element_of<type>(x, 0), element_of<type>(g, 0)), 0.0f);
      store(reinterpret_cast<u16*>(output) + e, static_cast<u16>(out & 0xFFFFu));
    }
  }
}

}  // namespace longformer::cuda
