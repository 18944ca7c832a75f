#include "emulation.h"

#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace emulation {
namespace {

struct Buffer {
  const char *begin, *end;
  const char* name;
  bool writable;
};
std::vector<Buffer> buffers;

struct Copy {
  uint32_t to;
  const void* from;
  size_t bytes;
  bool valid;
};

enum class State { ready, in_warp, in_block, done };

struct Fiber {
  jmp_buf context;
  ucontext_t start;
  bool started = false;
  State state = State::ready;
  std::unique_ptr<char[]> stack;
  std::vector<std::vector<Copy>> groups;  // committed
  std::vector<Copy> open;
};

struct Warp {
  const char* operation = nullptr;
  void* arguments[32];
  int arrived = 0;
  uint32_t epoch = 1;
};

// The last thread that touched a word of shared memory, and when: epochs of the block count
// its barriers, those of a warp its collective operations.
struct Word {
  uint32_t write_epoch = 0, write_warp_epoch = 0, read_epoch = 0, read_warp_epoch = 0;
  int16_t writer = -1, reader = -1;  // reader -2: several warps
  bool initialised = false, pending = false;
};

constexpr size_t kStack = 256 << 10;

struct Block {
  Launch launch;
  const std::function<void()>* kernel = nullptr;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<Word> words;
  std::vector<char> shared;
  int running = 0, arrived = 0, done = 0, x = 0, y = 0;
  uint32_t epoch = 1;
  std::mt19937_64 random;
  jmp_buf finished;
  std::string error;
};
Block* block = nullptr;

[[noreturn]] void fail(const std::string& what) {
  block->error = "block (" + std::to_string(block->x) + ", " + std::to_string(block->y) + "), thread " +
                 std::to_string(block->running) + ": " + what;
  _longjmp(block->finished, 1);
}

void switch_to_next();

void fiber_main() {
  Block& b = *block;
  (*b.kernel)();
  Fiber& me = b.fibers[b.running];
  if (!me.open.empty()) fail("ended with copies that were not waited for");
  for (const auto& group : me.groups)
    if (!group.empty()) fail("ended with copies that were not waited for");
  me.state = State::done;
  if (++b.done == b.launch.threads) _longjmp(b.finished, 2);
  switch_to_next();
}

int next_ready() {
  Block& b = *block;
  const int warp = b.running / 32;
  for (int i = 1; i <= 32; ++i) {
    const int t = warp * 32 + (b.running + i) % 32;
    if (b.fibers[t].state == State::ready) return t;
  }
  const int warps = static_cast<int>(b.warps.size()), start = static_cast<int>(b.random() % warps);
  for (int w = 0; w < warps; ++w)
    for (int lane = 0; lane < 32; ++lane) {
      const int t = (start + w) % warps * 32 + lane;
      if (b.fibers[t].state == State::ready) return t;
    }
  std::string where;
  for (size_t w = 0; w < b.warps.size(); ++w)
    if (b.warps[w].arrived > 0)
      where += " warp " + std::to_string(w) + ": " + std::to_string(b.warps[w].arrived) + " lanes in " +
               b.warps[w].operation + ";";
  fail("the threads wait for each other for ever: " + std::to_string(b.arrived) +
       " at the block's barrier, " + std::to_string(b.done) + " ended;" + where);
}

void enter(int t) {
  Block& b = *block;
  b.running = t;
  Fiber& to = b.fibers[t];
  if (to.started) _longjmp(to.context, 1);
  to.started = true;
  setcontext(&to.start);
}

void switch_to_next() {
  enter(next_ready());
}

void yield() {
  Block& b = *block;
  const int me = b.running, to = next_ready();
  if (to == me) return;
  if (_setjmp(b.fibers[me].context) == 0) enter(to);
}

std::string range(uint32_t address, size_t bytes) {
  return std::to_string(bytes) + " bytes of shared memory at " + std::to_string(address);
}

void check_shared(uint32_t address, size_t bytes) {
  if (address % bytes != 0) fail("misaligned access to " + range(address, bytes));
  if (address + bytes > block->shared.size())
    fail("access to " + range(address, bytes) + ", it has " + std::to_string(block->shared.size()));
}

void check_writable(uint32_t address, size_t bytes) {
  Block& b = *block;
  const uint32_t warp_epoch = b.warps[b.running / 32].epoch;
  for (size_t i = address / 4; i < (address + bytes + 3) / 4; ++i) {
    const Word& w = b.words[i];
    if (w.pending) fail("writes " + range(address, bytes) + " that a copy is on its way to");
    if (w.read_epoch == b.epoch) {
      const bool same_warp = w.reader >= 0 && w.reader / 32 == b.running / 32;
      if (!same_warp)
        fail("overwrites " + range(address, bytes) + " that another warp read since the last barrier");
      if (w.reader != b.running && w.read_warp_epoch == warp_epoch)
        fail("overwrites " + range(address, bytes) + " that another lane read with no warp barrier between");
    }
    if (w.initialised && w.write_epoch == b.epoch && w.writer / 32 != b.running / 32)
      fail("overwrites " + range(address, bytes) + " that another warp wrote since the last barrier");
  }
}

void mark_written(uint32_t address, size_t bytes) {
  Block& b = *block;
  for (size_t i = address / 4; i < (address + bytes + 3) / 4; ++i) {
    Word& w = b.words[i];
    w.initialised = true;
    w.writer = static_cast<int16_t>(b.running);
    w.write_epoch = b.epoch;
    w.write_warp_epoch = b.warps[b.running / 32].epoch;
  }
}

}  // namespace

void allow(const void* begin, size_t bytes, const char* name, bool writable) {
  const char* from = static_cast<const char*>(begin);
  buffers.push_back({from, from + bytes, name, writable});
}
void allow_nothing() {
  buffers.clear();
}

int thread_index() {
  return block->running;
}
int block_x() {
  return block->x;
}
int block_y() {
  return block->y;
}

void block_barrier() {
  Block& b = *block;
  if (++b.arrived == b.launch.threads) {
    b.arrived = 0;
    ++b.epoch;
    for (Fiber& f : b.fibers) f.state = State::ready;
    return;
  }
  b.fibers[b.running].state = State::in_block;
  yield();
}

void together(const char* operation, void* arguments, void (*work)(void** arguments)) {
  Block& b = *block;
  const int warp = b.running / 32;
  Warp& w = b.warps[warp];
  if (w.arrived > 0 && w.operation != operation)
    fail(std::string("comes to ") + operation + " where other lanes are in " + w.operation);
  w.operation = operation;
  w.arguments[b.running % 32] = arguments;
  if (++w.arrived == 32) {
    work(w.arguments);
    w.arrived = 0;
    ++w.epoch;
    for (int lane = 0; lane < 32; ++lane) b.fibers[warp * 32 + lane].state = State::ready;
    return;
  }
  b.fibers[b.running].state = State::in_warp;
  yield();
}

void check_global(const void* address, size_t bytes, bool write) {
  const char* at = static_cast<const char*>(address);
  char text[64];
  std::snprintf(text, sizeof text, "%zu bytes of global memory at %p", bytes, address);
  if (reinterpret_cast<uintptr_t>(at) % bytes != 0) fail(std::string("misaligned access to ") + text);
  const char* read_only = nullptr;
  for (const Buffer& buffer : buffers) {
    if (at < buffer.begin || at + bytes > buffer.end) continue;
    if (!write || buffer.writable) return;
    read_only = buffer.name;
  }
  if (read_only != nullptr) fail(std::string("writes ") + read_only);
  std::string near;
  for (const Buffer& buffer : buffers)
    if (at + 4096 > buffer.begin && at < buffer.end + 4096)
      near += std::string("; ") + buffer.name + (at < buffer.begin ? " begins behind it" : " ends before it");
  fail(std::string(write ? "writes " : "reads ") + text + near);
}

char* shared_read(uint32_t address, size_t bytes, int lane) {
  Block& b = *block;
  check_shared(address, bytes);
  const int me = lane < 0 ? b.running : b.running / 32 * 32 + lane;
  const uint32_t warp_epoch = b.warps[me / 32].epoch;
  for (size_t i = address / 4; i < (address + bytes + 3) / 4; ++i) {
    Word& w = b.words[i];
    if (w.pending) fail("reads " + range(address, bytes) + " that a copy is on its way to");
    if (!w.initialised) fail("reads " + range(address, bytes) + " that nobody wrote");
    if (w.writer != me) {
      const bool same_warp = w.writer / 32 == me / 32;
      if (w.write_epoch == b.epoch && !(same_warp && w.write_warp_epoch < warp_epoch))
        fail("reads " + range(address, bytes) + " that another thread wrote with no barrier between");
    }
    if (w.read_epoch == b.epoch && w.reader != -1 && (w.reader == -2 || w.reader / 32 != me / 32)) {
      w.reader = -2;
    } else if (w.read_epoch == b.epoch && w.read_warp_epoch == warp_epoch && w.reader != me &&
               w.reader != -1) {
      // Two lanes of one warp: a write of either needs a barrier, which the other one's number asks for.
    } else {
      w.reader = static_cast<int16_t>(me);
    }
    w.read_epoch = b.epoch;
    w.read_warp_epoch = warp_epoch;
  }
  return b.shared.data() + address;
}

char* shared_write(uint32_t address, size_t bytes) {
  check_shared(address, bytes);
  check_writable(address, bytes);
  mark_written(address, bytes);
  return block->shared.data() + address;
}

void copy_later(uint32_t to, const void* from, size_t bytes, bool valid) {
  Block& b = *block;
  check_shared(to, bytes);
  check_writable(to, bytes);
  if (valid) check_global(from, bytes, false);
  for (size_t i = to / 4; i < (to + bytes) / 4; ++i) b.words[i].pending = true;
  b.fibers[b.running].open.push_back({to, from, bytes, valid});
}

void copy_commit() {
  Fiber& f = block->fibers[block->running];
  f.groups.push_back(std::move(f.open));
  f.open.clear();
}

void copy_wait(int groups) {
  Block& b = *block;
  Fiber& f = b.fibers[b.running];
  while (static_cast<int>(f.groups.size()) > groups) {
    for (const Copy& c : f.groups.front()) {
      if (c.valid)
        std::memcpy(b.shared.data() + c.to, c.from, c.bytes);
      else
        std::memset(b.shared.data() + c.to, 0, c.bytes);
      for (size_t i = c.to / 4; i < (c.to + c.bytes) / 4; ++i) b.words[i].pending = false;
      mark_written(c.to, c.bytes);
    }
    f.groups.erase(f.groups.begin());
  }
}

void run(const Launch& launch, const std::function<void()>& kernel) {
  Block b;
  b.launch = launch;
  b.kernel = &kernel;
  b.fibers.resize(launch.threads);
  b.random.seed(launch.seed);
  for (Fiber& f : b.fibers) f.stack.reset(new char[kStack]);
  block = &b;
  for (b.y = 0; b.y < launch.grid_y; ++b.y)
    for (b.x = 0; b.x < launch.grid_x; ++b.x) {
      b.warps.assign(launch.threads / 32, Warp());
      b.words.assign(launch.shared / 4 + 1, Word());
      b.shared.assign(launch.shared, static_cast<char>(0xFF));
      b.epoch = 1;
      b.arrived = b.done = 0;
      for (Fiber& f : b.fibers) {
        f.started = false;
        f.state = State::ready;
        f.groups.clear();
        f.open.clear();
        getcontext(&f.start);
        f.start.uc_stack.ss_sp = f.stack.get();
        f.start.uc_stack.ss_size = kStack;
        f.start.uc_link = nullptr;
        makecontext(&f.start, fiber_main, 0);
      }
      const int end = _setjmp(b.finished);
      if (end == 0) enter(0);
      if (end == 1) {
        block = nullptr;
        throw std::runtime_error(b.error);
      }
    }
  block = nullptr;
}

}  // namespace emulation
