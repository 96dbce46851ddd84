# polariscope_library(NAME SOURCES ... LINKS ...): one floor of the house, as target polariscope_NAME.
function(polariscope_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(polariscope_${name} STATIC ${ARG_SOURCES})
  target_include_directories(polariscope_${name} PUBLIC "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(polariscope_${name} PUBLIC ${ARG_LINKS} PRIVATE polariscope_warnings)
endfunction()

add_library(polariscope_warnings INTERFACE)
target_compile_options(polariscope_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow
  # GCC 12 takes moved-from strings of aggregates for uninitialised ones, and concatenations for overlaps.
  -Wno-maybe-uninitialized -Wno-restrict
  $<$<BOOL:${POLARISCOPE_WERROR}>:-Werror>)
