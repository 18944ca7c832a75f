#include "emulated_attention.h"

static const bool added = longformer::test::add_attention_kernels<0, 64>();
