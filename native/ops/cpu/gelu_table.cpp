#include "gelu_table.h"

#include <cmath>

namespace longformer::cpu {
namespace {

// Interpolates Q at the zeros of a Chebyshev polynomial, which spreads the error evenly.
GeluTable make_gelu_table() {
  GeluTable table;
  const double pi = std::acos(-1.0);
  for (int interval = 0; interval < kGeluIntervals; ++interval) {
    double at[kGeluPowers], difference[kGeluPowers], power[kGeluPowers] = {};
    for (int i = 0; i < kGeluPowers; ++i) {
      at[i] = std::cos((2 * i + 1) * pi / (2 * kGeluPowers)) / 2;
      difference[i] = std::erfc((interval + 0.5 + at[i]) * kGeluEnd / kGeluIntervals / std::sqrt(2.0)) / 2;
    }
    for (int order = 1; order < kGeluPowers; ++order)  // Newton's divided differences
      for (int i = kGeluPowers - 1; i >= order; --i)
        difference[i] = (difference[i] - difference[i - 1]) / (at[i] - at[i - order]);
    for (int i = kGeluPowers - 1; i >= 0; --i) {  // their sum of products as powers, from the inside out
      for (int k = kGeluPowers - 1; k > 0; --k) power[k] = power[k - 1] - at[i] * power[k];
      power[0] = difference[i] - at[i] * power[0];
    }
    for (int k = 0; k < kGeluPowers; ++k) table.coefficients[k][interval] = static_cast<float>(power[k]);
  }
  return table;
}

}  // namespace

const GeluTable gelu_table = make_gelu_table();

}  // namespace longformer::cpu
