// Work in its own process, since what a process has loaded cannot be taken out of it again.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "call.h"

namespace longformer::test {

// The answer of the work in a forked child: its text, or what it threw, and behind it how the child ended
// unless it left by exit(0) with everything that runs there. The child's standard error is in `errors`.
struct Ended {
  std::string said, errors;
};
Ended in_child(const std::function<std::string()>& work);

// Expects a child that has nothing to say, neither in answer nor on standard error.
void expect_nothing_said(const std::function<std::string()>& work);
void expect_said(const std::function<std::string()>& work, const std::vector<std::string>& words);

// "4: no libtorch ...", or "0" where it worked.
std::string answer(longformer_status status);

// The faults, one a line, for children that may have several.
class Lines {
 public:
  template <class A, class B>
  void expect_equal(const A& given, const B& expected, const std::string& what) {
    if (!(given == expected)) all_ += text(what, ": ", given, ", expected ", expected, "\n");
  }
  void expect(bool condition, const std::string& what) {
    if (!condition) all_ += what + "\n";
  }
  operator std::string() const { return all_; }  // NOLINT: what a child answers

 private:
  std::string all_;
};

}  // namespace longformer::test
