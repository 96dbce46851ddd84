# Every library comes from the system; `./dev setup` installs the Debian packages. Those that are missing are named
# together.
set(polariscope_missing "")
macro(polariscope_find package debian)
  find_package(${package} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    list(APPEND polariscope_missing ${debian})
  endif()
endmacro()
find_package(Threads REQUIRED)
polariscope_find(fmt libfmt-dev)
polariscope_find(nlohmann_json nlohmann-json3-dev)
polariscope_find(CLI11 libcli11-dev)
polariscope_find(tomlplusplus libtomlplusplus-dev)
polariscope_find(Eigen3 libeigen3-dev NO_MODULE)
polariscope_find(SQLite3 libsqlite3-dev)
# The compiler's, which oneDNN's threads are; clang's is a package of its own.
set(openmp_package g++)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(openmp_package libomp-dev)
endif()
polariscope_find(OpenMP ${openmp_package} COMPONENTS CXX)
polariscope_find(PkgConfig pkg-config)
if(PkgConfig_FOUND)
  pkg_check_modules(HWY QUIET IMPORTED_TARGET libhwy)
  pkg_check_modules(PCRE2 QUIET IMPORTED_TARGET libpcre2-8)
  pkg_check_modules(UTF8PROC QUIET IMPORTED_TARGET libutf8proc)
endif()
if(NOT HWY_FOUND)
  list(APPEND polariscope_missing libhwy-dev)
endif()
if(NOT PCRE2_FOUND)
  list(APPEND polariscope_missing libpcre2-dev)
endif()
if(NOT UTF8PROC_FOUND)
  list(APPEND polariscope_missing libutf8proc-dev)
endif()
find_path(RANDOM123_INCLUDE_DIR Random123/philox.h)
if(NOT RANDOM123_INCLUDE_DIR)
  list(APPEND polariscope_missing librandom123-dev)
endif()

# Its pkg-config file asks for those of TLS, which nothing here uses. Since 0.9.71 its handlers return an enum.
find_path(MICROHTTPD_INCLUDE_DIR microhttpd.h)
find_library(MICROHTTPD_LIBRARY microhttpd)
if(MICROHTTPD_INCLUDE_DIR AND MICROHTTPD_LIBRARY)
  add_library(polariscope_microhttpd UNKNOWN IMPORTED)
  set_target_properties(polariscope_microhttpd PROPERTIES
    IMPORTED_LOCATION "${MICROHTTPD_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${MICROHTTPD_INCLUDE_DIR}")
else()
  list(APPEND polariscope_missing libmicrohttpd-dev)
endif()

# oneDNN's own CMake package asks for OpenCL's headers. Version 3 describes products otherwise.
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl_version.h)
find_library(DNNL_LIBRARY dnnl)
set(polariscope_dnnl_version "")
if(DNNL_INCLUDE_DIR AND DNNL_LIBRARY)
  file(STRINGS "${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h" polariscope_dnnl_version
       REGEX "define DNNL_VERSION_MAJOR 2$")
endif()
if(polariscope_dnnl_version)
  add_library(DNNL::dnnl UNKNOWN IMPORTED)
  set_target_properties(DNNL::dnnl PROPERTIES
    IMPORTED_LOCATION "${DNNL_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${DNNL_INCLUDE_DIR}")
else()
  list(APPEND polariscope_missing libdnnl-dev)
endif()

# SUNDIALS' own CMake package asks for every optional solver it was built with (MPI, Trilinos);
# the flow needs CVODE with serial vectors, so those are named directly.
add_library(polariscope_cvode INTERFACE)
foreach(part cvode nvecserial sunmatrixdense sunlinsoldense sunlinsolspgmr sunnonlinsolfixedpoint)
  find_library(SUNDIALS_${part} sundials_${part})
  if(NOT SUNDIALS_${part})
    list(APPEND polariscope_missing libsundials-dev)
  else()
    target_link_libraries(polariscope_cvode INTERFACE ${SUNDIALS_${part}})
  endif()
endforeach()

if(polariscope_missing)
  list(REMOVE_DUPLICATES polariscope_missing)
  list(JOIN polariscope_missing " " packages)
  message(FATAL_ERROR "Libraries are missing. On Debian or Ubuntu: apt-get install ${packages}\n"
                      "(in a clone `./dev setup build` does that); elsewhere install what these packages hold.")
endif()

# Targets that would only cost time to compile, since the portable baseline serves as well: those of processors older than
# AVX2. Vectors of SVE, whose length a compiler does not know, cannot stand in arrays; NEON serves.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  target_compile_definitions(PkgConfig::HWY INTERFACE "HWY_DISABLED_TARGETS=(HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)")
  # Highway's NEON has cryptography; GCC inlines its vectors into code for no other processors.
  target_compile_options(PkgConfig::HWY INTERFACE -march=armv8-a+crypto)
else()
  target_compile_definitions(PkgConfig::HWY INTERFACE "HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_SSE4)")
endif()
