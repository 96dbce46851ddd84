# installed.sh BUILD PROGRAM.cpp: installs the operator from a build folder, and builds and runs a program that finds it.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --install "$1" --prefix "$folder/prefix" --component operator >/dev/null
cat >"$folder/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(elsewhere LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(polariscope REQUIRED)
add_executable(elsewhere "$2")
target_link_libraries(elsewhere PRIVATE polariscope::torch)
END
prefixes="$folder/prefix;$(sed -n 's/^CMAKE_PREFIX_PATH:[A-Z]*=//p' "$1/CMakeCache.txt")"
cmake -S "$folder" -B "$folder/build" -G Ninja -D CMAKE_PREFIX_PATH="$prefixes" >"$folder/log" 2>&1 ||
  { cat "$folder/log"; exit 1; }
cmake --build "$folder/build"
"$folder/build/elsewhere"
