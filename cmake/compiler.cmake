# Flags that every target shares. Warnings become errors in the presets, so that a user's newer compiler never
# stops an install.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# A translation unit with ATen headers takes up to 1.8 GB: on a board with up to 4 GB, one at a time.
cmake_host_system_information(RESULT memory_mib QUERY TOTAL_PHYSICAL_MEMORY)
if(memory_mib LESS 4400)
  set_property(GLOBAL PROPERTY JOB_POOLS one=1)
  set(CMAKE_JOB_POOL_COMPILE one)
endif()

function(opclock_compile target standard)
  target_compile_features(${target} PUBLIC cxx_std_${standard})
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow)
endfunction()
