#include "child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "support.h"

namespace longformer::test {
namespace {

std::string read_all(FILE* file) {
  std::string text;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

}  // namespace

Ended in_child(const std::function<std::string()>& work) {
  FILE *answer = std::tmpfile(), *errors = std::tmpfile();
  if (answer == nullptr || errors == nullptr) return {"no temporary file", ""};
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) return {"fork failed", ""};
  if (child == 0) {
    dup2(fileno(errors), STDERR_FILENO);
    std::string said;
    try {
      said = work();
    } catch (const std::exception& e) {
      said = std::string("threw: ") + e.what();
    }
    std::fwrite(said.data(), 1, said.size(), answer);
    std::fflush(answer);
    std::exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Ended ended{read_all(answer), read_all(errors)};
  if (WIFSIGNALED(status)) ended.said += " [ended by signal " + std::to_string(WTERMSIG(status)) + "]";
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    ended.said += " [ended with " + std::to_string(WEXITSTATUS(status)) + "]";
  return ended;
}

void expect_nothing_said(const std::function<std::string()>& work) {
  const Ended ended = in_child(work);
  EXPECT_EQ(ended.said, "");
  EXPECT_EQ(ended.errors, "") << "on standard error";
}

void expect_said(const std::function<std::string()>& work, const std::vector<std::string>& words) {
  expect_words(in_child(work).said, words);
}

std::string answer(longformer_status status) {
  return status == LONGFORMER_OK ? "0" : text(static_cast<int>(status), ": ", api().last_error());
}

}  // namespace longformer::test
