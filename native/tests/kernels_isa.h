// Shared by the tests of the CPU kernels: going through all instruction sets of this machine.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "../ops/cpu/isa.h"
#include "kernels_tensors.h"

namespace longformer::test {

// A test whose parameter is the instruction set that it runs with.
class OfInstructionSet : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    setenv("LONGFORMER_CPU_ISA", GetParam().c_str(), 1);
    reseed(11);
  }
  void TearDown() override { unsetenv("LONGFORMER_CPU_ISA"); }
};

}  // namespace longformer::test

#define FOR_EACH_INSTRUCTION_SET(suite)                                                        \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, testing::ValuesIn(longformer::cpu::instruction_sets()), \
                           [](const testing::TestParamInfo<std::string>& i) { return i.param; })
