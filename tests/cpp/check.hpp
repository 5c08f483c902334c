// The few lines of a test framework that these tests need.
#pragma once

#include <cmath>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace check {

inline std::vector<std::pair<std::string, std::function<void()>>>& tests() {
  static std::vector<std::pair<std::string, std::function<void()>>> all;
  return all;
}

struct Register {
  Register(const char* name, std::function<void()> test) { tests().emplace_back(name, std::move(test)); }
};

inline void that(bool holds, const std::string& what) {
  if (!holds) throw std::logic_error(what);
}

inline void near(double found, double wanted, double tolerance, const std::string& what) {
  that(std::abs(found - wanted) <= tolerance,
       what + ": found " + std::to_string(found) + ", wanted " + std::to_string(wanted));
}

template <typename Error>
void throws(const std::function<void()>& function, const std::string& what) {
  try {
    function();
  } catch (const Error&) {
    return;
  }
  throw std::logic_error(what + " did not throw");
}

}  // namespace check

#define TEST(name)                                           \
  static void name();                                        \
  static const check::Register register_##name(#name, name); \
  static void name()
#define CHECK(condition) \
  check::that((condition), std::string(__FILE__ ":") + std::to_string(__LINE__) + ": " #condition)
#define NEAR(found, wanted, tolerance) check::near((found), (wanted), (tolerance), #found)

int main() {
  int failed = 0;
  for (const auto& [name, test] : check::tests()) {
    try {
      test();
      std::printf("ok   %s\n", name.c_str());
    } catch (const std::exception& error) {
      std::printf("FAIL %s: %s\n", name.c_str(), error.what());
      ++failed;
    }
  }
  std::printf("%zu passed, %d failed\n", check::tests().size() - static_cast<std::size_t>(failed), failed);
  return failed == 0 ? 0 : 1;
}
