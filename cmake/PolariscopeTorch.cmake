# LibTorch 1.13 or newer, of the system or of Python's package:
#   cmake … -D CMAKE_PREFIX_PATH="$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)')"
# AUTO builds the PyTorch operator where LibTorch is found; ON insists on it.
set(POLARISCOPE_TORCH AUTO CACHE STRING "Build the PyTorch operator: ON, OFF or AUTO (if LibTorch is found)")
set_property(CACHE POLARISCOPE_TORCH PROPERTY STRINGS AUTO ON OFF)

# polariscope_python_torch(DIRECTORY): targets of the PyTorch that Python's package installed there. Its own CMake package
# asks for CUDA, which need not be installed where nothing uses it, and the headers of fmt and oneDNN beside its own are
# other versions than the libraries here: those are left out.
function(polariscope_python_torch directory)
  file(READ "${directory}/share/cmake/Torch/TorchConfig.cmake" config)
  if(config MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
    message(FATAL_ERROR "The PyTorch in ${directory} was built with libstdc++'s old strings, which no library here has: "
                        "install PyTorch 2.7 or newer")
  endif()
  set(headers "${PROJECT_BINARY_DIR}/torch_headers")
  file(REMOVE_RECURSE "${headers}")
  file(MAKE_DIRECTORY "${headers}")
  foreach(name ATen c10 caffe2 torch)
    if(EXISTS "${directory}/include/${name}")
      file(CREATE_LINK "${directory}/include/${name}" "${headers}/${name}" SYMBOLIC)
    endif()
  endforeach()
  foreach(name c10 torch_cpu)
    add_library(${name} SHARED IMPORTED GLOBAL)
    set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${directory}/lib/lib${name}.so")
  endforeach()
  add_library(torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(torch INTERFACE "${headers}" "${headers}/torch/csrc/api/include")
  target_link_libraries(torch INTERFACE torch_cpu c10)
  message(STATUS "LibTorch of Python's package: ${directory}")
endfunction()

set(polariscope_torch OFF)
if(POLARISCOPE_TORCH)
  set(prefixes ${CMAKE_PREFIX_PATH} $ENV{CMAKE_PREFIX_PATH})
  foreach(prefix IN LISTS prefixes)
    get_filename_component(directory "${prefix}/../.." ABSOLUTE)
    if(NOT polariscope_torch AND EXISTS "${prefix}/Torch/TorchConfig.cmake" AND
       EXISTS "${directory}/lib/libtorch_python.so")
      polariscope_python_torch("${directory}")
      set(polariscope_torch ON)
    endif()
  endforeach()
endif()
if(POLARISCOPE_TORCH STREQUAL AUTO AND NOT polariscope_torch)
  find_package(Torch QUIET)
  set(polariscope_torch ${Torch_FOUND})
  if(NOT Torch_FOUND)
    message(STATUS "LibTorch was not found: everything but the PyTorch operator is built")
  endif()
elseif(POLARISCOPE_TORCH AND NOT polariscope_torch)
  find_package(Torch REQUIRED)
  set(polariscope_torch ON)
endif()
if(polariscope_torch)
  add_compile_options(${TORCH_CXX_FLAGS})  # which of libstdc++'s two strings LibTorch was built with
endif()
