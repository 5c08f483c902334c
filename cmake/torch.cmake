# Finds the torch of the environment that the wheel is built for, and makes the target opclock_torch from its
# include and lib folders. Sets OPCLOCK_TORCH_VERSION ("" where there is none) and OPCLOCK_TORCH_CXX_STANDARD.
#
# Not find_package(Torch): it stops with a fatal error where a CUDA build of torch meets a board without the CUDA
# toolkit, and nothing here needs CUDA headers.
#
# -E: pip's isolated builds hide the environment's packages through PYTHONPATH; ignoring it shows them again.
#
# A cross build names the folder of the target's torch in OPCLOCK_TORCH_ROOT.
set(torch_root "${OPCLOCK_TORCH_ROOT}")
if(NOT torch_root)
  execute_process(
    COMMAND ${Python_EXECUTABLE} -E -c
      "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE torch_root OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
set(OPCLOCK_TORCH_VERSION "")
if(NOT EXISTS "${torch_root}/version.py")
  message(STATUS "opclock: no torch in ${Python_EXECUTABLE}'s environment: building without opclock._aten")
  return()
endif()

file(STRINGS "${torch_root}/version.py" version_line REGEX "^__version__ = ")
string(REGEX REPLACE "^__version__ = '(.*)'$" "\\1" OPCLOCK_TORCH_VERSION "${version_line}")
string(REGEX MATCH "^[0-9]+\\.[0-9]+" torch_release "${OPCLOCK_TORCH_VERSION}")
if(torch_release VERSION_LESS 2.6)
  message(FATAL_ERROR "opclock needs torch 2.6 or newer, found ${OPCLOCK_TORCH_VERSION} in ${torch_root}")
endif()
if(torch_release VERSION_LESS 2.13)
  set(OPCLOCK_TORCH_CXX_STANDARD 17)
else()
  set(OPCLOCK_TORCH_CXX_STANDARD 20)
endif()
message(STATUS "opclock: torch ${OPCLOCK_TORCH_VERSION} in ${torch_root}, C++${OPCLOCK_TORCH_CXX_STANDARD}")

add_library(opclock_torch INTERFACE)
target_include_directories(opclock_torch SYSTEM INTERFACE
  "${torch_root}/include" "${torch_root}/include/torch/csrc/api/include")
# torch before 2.7 came with either ABI of std::string; its CMake file says which.
file(STRINGS "${torch_root}/share/cmake/Torch/TorchConfig.cmake" abi_line REGEX "_GLIBCXX_USE_CXX11_ABI=[01]")
if(abi_line MATCHES "_GLIBCXX_USE_CXX11_ABI=([01])")
  set(torch_abi ${CMAKE_MATCH_1})
  target_compile_definitions(opclock_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=${torch_abi})
  add_compile_definitions(_GLIBCXX_USE_CXX11_ABI=${torch_abi})
endif()
foreach(library torch_python torch torch_cpu c10)
  target_link_libraries(opclock_torch INTERFACE "${torch_root}/lib/lib${library}.so")
endforeach()
