/* Linked into liblongformer.so in front of the runtime's own calls (the linker's --wrap). A runtime that owns its process ignores SIGPIPE;
 * in somebody else's process that choice, and the host's handler, are the host's. */
#include <signal.h>
#include <stddef.h>

typedef void (*handler)(int);

handler __real_signal(int number, handler action);
int __real_sigaction(int number, const struct sigaction* action, struct sigaction* before);

handler __wrap_signal(int number, handler action);
int __wrap_sigaction(int number, const struct sigaction* action, struct sigaction* before);

handler __wrap_signal(int number, handler action) {
  return number == SIGPIPE && action == SIG_IGN ? SIG_DFL : __real_signal(number, action);
}

int __wrap_sigaction(int number, const struct sigaction* action, struct sigaction* before) {
  if (number == SIGPIPE && action != NULL && action->sa_handler == SIG_IGN) action = NULL;
  return __real_sigaction(number, action, before);
}
