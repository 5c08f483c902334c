#include "crash/crash_line.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string_view>

namespace opclock {
namespace {

struct Crash {
  int number;
  std::string_view name;
};

constexpr std::array kCrashes = {
    Crash{SIGSEGV, "SIGSEGV "}, Crash{SIGBUS, "SIGBUS "},   Crash{SIGILL, "SIGILL "},
    Crash{SIGFPE, "SIGFPE "},   Crash{SIGABRT, "SIGABRT "},
};

// Read in the handler, where no memory can be taken.
std::array<char, 512> line;
std::size_t line_length = 0;
pid_t process = 0;

void say(std::string_view text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

// Only calls that are allowed in a handler. A process that the model has forked keeps silent: its parent tells of it.
extern "C" void say_and_end(int number) {
  if (::getpid() == process) {
    say("opclock: killed by ");
    for (const Crash& crash : kCrashes) {
      if (crash.number == number) say(crash.name);
    }
    say({line.data(), line_length});
  }
  ::raise(number);  // its handler is the default one again; it ends the process on return
}

void handle(int number, void (*wanted)(int), void (*instead_of)(int)) {
  struct sigaction action{};
  if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != instead_of) return;
  action = {};
  action.sa_handler = wanted;
  action.sa_flags = SA_RESETHAND | SA_ONSTACK;
  ::sigaction(number, &action, nullptr);
}

// A stack for the handler, as a model may have used up the thread's.
void use_other_stack() {
  static std::array<char, std::size_t{1} << 16U> memory;
  stack_t stack{};
  if (::sigaltstack(nullptr, &stack) != 0) return;
  if ((static_cast<unsigned>(stack.ss_flags) & static_cast<unsigned>(SS_DISABLE)) == 0) return;
  stack = {};
  stack.ss_sp = memory.data();
  stack.ss_size = memory.size();
  ::sigaltstack(&stack, nullptr);
}

}  // namespace

void set_crash_line(const std::string& text) {
  line_length = std::min(text.size(), line.size() - 1);
  std::copy_n(text.begin(), line_length, line.begin());
  line.at(line_length++) = '\n';
  process = ::getpid();
  if (!text.empty()) use_other_stack();
  for (const Crash& crash : kCrashes) {
    if (text.empty()) {
      handle(crash.number, SIG_DFL, say_and_end);
    } else {
      handle(crash.number, say_and_end, SIG_DFL);
    }
  }
}

}  // namespace opclock
