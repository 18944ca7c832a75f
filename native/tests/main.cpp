// Opens libtorch and the library before the first test; listing the tests needs neither.
#include <gtest/gtest.h>

#include "library.h"

namespace {

struct Libraries : testing::Environment {
  void SetUp() override { longformer::test::open_everything(); }
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new Libraries);
  return RUN_ALL_TESTS();
}
