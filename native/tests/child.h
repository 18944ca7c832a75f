// Work in a process of its own, since what a process has loaded cannot be taken out of it again.
#pragma once
#include <functional>
#include <string>

namespace longformer::test {

// What the work answered in a forked child: its text, or what it threw, and behind it how the child ended unless it left by exit(0)
// with everything that runs there. The child's standard error is in `errors`.
struct Ended {
  std::string said, errors;
};
Ended in_child(const std::function<std::string()>& work);

}  // namespace longformer::test
