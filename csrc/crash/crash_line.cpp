#include "crash/crash_line.hpp"

#include <csignal>
#include <cstring>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace opclock {
namespace {

struct Crash {
  int number;
  const char* name;
};

constexpr std::array<Crash, 5> kCrashes{
    {{SIGSEGV, "SIGSEGV "}, {SIGBUS, "SIGBUS "}, {SIGILL, "SIGILL "}, {SIGFPE, "SIGFPE "}, {SIGABRT, "SIGABRT "}}};

// Read in the handler, where no memory can be taken.
std::array<char, 512> line;   // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::size_t line_length = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
pid_t process = 0;            // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void say(const char* text, std::size_t length) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, length);
}

// Only calls that are allowed in a handler. A process that the model has forked keeps silent: its parent tells of it.
extern "C" void say_and_end(int number) {
  if (::getpid() == process) {
    constexpr char kBegin[] = "opclock: killed by ";
    say(kBegin, sizeof(kBegin) - 1);
    for (const Crash& crash : kCrashes) {
      if (crash.number == number) say(crash.name, std::strlen(crash.name));
    }
    say(line.data(), line_length);
  }
  ::raise(number);  // its handler is the default one again; it ends the process on return
}

void handle(int number, void (*wanted)(int), void (*instead_of)(int)) {
  struct sigaction action {};
  if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != instead_of) return;
  action = {};
  action.sa_handler = wanted;
  action.sa_flags = SA_RESETHAND | SA_ONSTACK;
  ::sigaction(number, &action, nullptr);
}

// A stack for the handler, as a model may have used up the thread's.
void use_other_stack() {
  static std::array<char, 1 << 16> memory;
  stack_t stack{};
  if (::sigaltstack(nullptr, &stack) != 0 || (stack.ss_flags & SS_DISABLE) == 0) return;
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
