// The activation functions by number, for drivers and kernels.
#pragma once

namespace longformer::cpu {

enum class Activation : int { none, gelu, gelu_tanh, relu, tanh, silu };

}  // namespace longformer::cpu
