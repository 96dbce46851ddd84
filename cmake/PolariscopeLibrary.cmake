# polariscope_library(NAME [TEXT | TENSORS] SOURCES ... LINKS ...): one floor of the house, as target polariscope_NAME.
# TEXT: it reads, writes and draws, and nobody waits for a loop of its own. TENSORS: it speaks to LibTorch.
function(polariscope_library name)
  cmake_parse_arguments(ARG "TEXT;TENSORS" "" "SOURCES;LINKS" ${ARGN})
  add_library(polariscope_${name} STATIC ${ARG_SOURCES})
  target_include_directories(polariscope_${name} PUBLIC "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(polariscope_${name} PUBLIC ${ARG_LINKS} PRIVATE polariscope_warnings)
  polariscope_as_floor(polariscope_${name})
  if(ARG_TEXT)
    target_link_libraries(polariscope_${name} PRIVATE polariscope_text)
    target_precompile_headers(polariscope_${name} REUSE_FROM polariscope_text_headers)
  elseif(ARG_TENSORS)
    target_precompile_headers(polariscope_${name} REUSE_FROM polariscope_tensor_headers)
  endif()
endfunction()

# Any floor may become part of the PyTorch operator: there its code is as fast as in a program, and its names are hidden.
function(polariscope_as_floor target)
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_compile_options(${target} PRIVATE -fno-semantic-interposition)
endfunction()

add_library(polariscope_warnings INTERFACE)
target_compile_options(polariscope_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow
  # GCC 12 takes moved-from strings of aggregates for uninitialised ones, and concatenations for overlaps and overruns.
  -Wno-maybe-uninitialized -Wno-restrict -Wno-array-bounds
  $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-warning-option>
  $<$<BOOL:${POLARISCOPE_WERROR}>:-Werror>)

# What formats text compiles in two thirds of the time, and is as fast for who reads it.
add_library(polariscope_text INTERFACE)
target_compile_options(polariscope_text INTERFACE $<$<NOT:$<CONFIG:Debug>>:-O1>)

# Headers that most files of a group read, parsed once for all of them. A file includes what it uses nevertheless: the
# lint reads it without these.
set(polariscope_text_headers
  <fmt/format.h> <fmt/ranges.h> <nlohmann/json.hpp> <algorithm> <array> <cmath> <cstdint> <filesystem> <functional>
  <map> <memory> <optional> <span> <string> <string_view> <utility> <vector>)
set(polariscope_tensor_headers
  <ATen/core/ivalue.h> <ATen/core/Tensor.h> <ATen/TensorOperators.h> <ATen/core/grad_mode.h> <ATen/ops/empty.h>
  <ATen/ops/zeros.h>)

file(WRITE "${PROJECT_BINARY_DIR}/no_code.cpp" "")
add_library(polariscope_text_headers OBJECT "${PROJECT_BINARY_DIR}/no_code.cpp")
target_link_libraries(polariscope_text_headers PRIVATE
  fmt::fmt nlohmann_json::nlohmann_json polariscope_text polariscope_warnings)
polariscope_as_floor(polariscope_text_headers)
target_precompile_headers(polariscope_text_headers PRIVATE ${polariscope_text_headers})

if(polariscope_torch)
  add_library(polariscope_tensor_headers OBJECT "${PROJECT_BINARY_DIR}/no_code.cpp")
  target_link_libraries(polariscope_tensor_headers PRIVATE torch polariscope_warnings)
  polariscope_as_floor(polariscope_tensor_headers)
  target_precompile_headers(polariscope_tensor_headers PRIVATE ${polariscope_tensor_headers})
endif()
