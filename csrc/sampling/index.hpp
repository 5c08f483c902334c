// Indices that callers give.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace opclock {

// The index itself. Throws std::out_of_range, which names what there is none of ("op call").
inline std::size_t checked_index(std::size_t index, std::size_t count, const char* what) {
  if (index < count) return index;
  throw std::out_of_range("no " + std::string(what) + " " + std::to_string(index) + ": there are " +
                          std::to_string(count));
}

}  // namespace opclock
