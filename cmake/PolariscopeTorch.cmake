# LibTorch 1.13 or newer, of the system or of Python's package:
#   cmake … -D CMAKE_PREFIX_PATH="$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)')"
# AUTO builds the PyTorch operator where LibTorch is found; ON insists on it.
set(POLARISCOPE_TORCH AUTO CACHE STRING "Build the PyTorch operator: ON, OFF or AUTO (if LibTorch is found)")
set_property(CACHE POLARISCOPE_TORCH PROPERTY STRINGS AUTO ON OFF)

set(polariscope_torch OFF)
if(POLARISCOPE_TORCH STREQUAL AUTO)
  find_package(Torch QUIET)
  set(polariscope_torch ${Torch_FOUND})
  if(NOT Torch_FOUND)
    message(STATUS "LibTorch was not found: everything but the PyTorch operator is built")
  endif()
elseif(POLARISCOPE_TORCH)
  find_package(Torch REQUIRED)
  set(polariscope_torch ON)
endif()
if(polariscope_torch)
  find_package(dnnl 2 REQUIRED)  # the models' matrix products; 3 describes them otherwise
  add_compile_options(${TORCH_CXX_FLAGS})  # which of libstdc++'s two strings LibTorch was built with
endif()
