# Every library comes from the system; `./dev setup` installs the Debian packages.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(SQLite3 REQUIRED)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
# Two targets for processors older than AVX2 that the portable baseline serves as well: they would only cost
# time to compile.
target_compile_definitions(PkgConfig::HWY INTERFACE "HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_SSE4)")

# SUNDIALS' own CMake package asks for every optional solver it was built with (MPI, Trilinos);
# the flow needs CVODE with serial vectors, so those are named directly.
add_library(polariscope_cvode INTERFACE)
foreach(part cvode nvecserial sunmatrixdense sunlinsoldense sunlinsolspgmr sunnonlinsolfixedpoint)
  find_library(SUNDIALS_${part} sundials_${part} REQUIRED)
  target_link_libraries(polariscope_cvode INTERFACE ${SUNDIALS_${part}})
endforeach()
