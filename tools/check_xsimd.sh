#!/usr/bin/env bash
# Builds and runs the tests of the kernels against versions of xsimd, and prints a table:
#   bash tools/check_xsimd.sh [include folder of xsimd...]       without folders: the system's
# Each in three ways, of which the variable WAYS may name some:
#   unoptimised    header-only at -O0, run for this processor, and compiled for x86-64-v4
#   optimised      header-only at -O2
#   debug_library  a debug build of ldlm::ldlm, run with every instruction set of the processor
# CXX names the compiler; it all goes to build-xsimd/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ $# -gt 0 ]] || set -- /usr/include

compiler=${CXX:-g++}
launcher=$(command -v ccache || true)
work=build-xsimd/$(basename "$compiler")
mkdir -p "$work"

# compile <source> <object> <flags...>
compile() {
  local source=$1 object=$2
  shift 2
  $launcher "$compiler" -std=c++20 -Iinclude -Ibackends "$@" -c "$source" -o "$object"
}

# Neither the kernels' tests nor main know xsimd: they are compiled once.
units=()
for source in tests/main.cpp tests/test_kernels_*.cpp; do
  units+=("$work/$(basename "$source" .cpp).o")
  compile "$source" "${units[-1]}" -O1 -Itests -DDOCTEST_CONFIG_VOID_CAST_EXPRESSIONS \
    -DLDLM_SOURCE_DIR="\"$PWD\"" -DLDLM_COMMAND='""'
done

# Which cases the slow ways leave to the others: they take a third of the time.
few="--test-case-exclude=reduce kernels of large views*,unary kernels in place*"

# header_only <folder> <include folder> <flags...>
header_only() {
  local folder=$1 include=$2 source objects=("${units[@]}")
  shift 2
  for source in tools/ldlm/kernels.cpp tests/test_simd_math.cpp tests/test_simd_batch.cpp; do
    objects+=("$folder/$(basename "$source" .cpp).o")
    compile "$source" "${objects[-1]}" -march=native -isystem "$include" "$@" || return
  done
  "$compiler" "${objects[@]}" -o "$folder/run" -pthread
}
unoptimised() {
  if [[ $(uname -m) == x86_64 ]]; then
    compile tools/ldlm/kernels.cpp "$1/v4.o" -O0 -march=x86-64-v4 -isystem "$2" || return
  fi
  header_only "$1" "$2" -O0 && "$1/run" "$few"
}
optimised() { header_only "$1" "$2" -O2 && "$1/run"; }
debug_library() {
  # A target that leads to the folder stands in for the package.
  mkdir -p "$1/xsimd"
  printf 'add_library(xsimd INTERFACE)\ntarget_include_directories(xsimd SYSTEM INTERFACE "%s")\n' \
    "$2" >"$1/xsimd/CMakeLists.txt"
  cmake -S . -B "$1/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_DISABLE_FIND_PACKAGE_xsimd=ON -DFETCHCONTENT_SOURCE_DIR_XSIMD="$PWD/$1/xsimd" \
    -DLDLM_NATIVE=OFF -DLDLM_BUILD_TESTS=OFF -DLDLM_BUILD_TOOLS=OFF -DLDLM_BUILD_EXAMPLES=OFF \
    -DLDLM_BUILD_BENCHMARKS=OFF -DLDLM_INSTALL=OFF || return
  ninja -C "$1/build" ldlm_units || return
  "$compiler" "${units[@]}" -Wl,--whole-archive "$1/build/libldlm_units.a" \
    -Wl,--no-whole-archive -o "$1/run" -pthread || return
  local level
  for level in baseline avx2 avx512; do
    bash tests/isa/run_level.sh "$level" "$1/run" "$few" || [[ $? == 77 ]] || return
  done
}

status=0
ways=${WAYS:-unoptimised optimised debug_library}
title=xsimd
for way in $ways; do
  title+="|$way"
done
rows=("$title")
for include in "$@"; do
  include=$(realpath "$include")
  version=$(sed -n 's/^#define XSIMD_VERSION_[A-Z]* //p' "$include/xsimd/config/xsimd_config.hpp" |
    paste -sd.)
  row=$version
  for way in $ways; do
    folder=$work/$version-$way
    mkdir -p "$folder"
    if $way "$folder" "$include" >"$folder/log" 2>&1; then
      row+="|$(sed -n 's/.*assertions: *\([0-9]*\).*/\1/p' "$folder/log" |
        awk '{ sum += $1 } END { print sum }') checks"
    else
      row+="|FAIL"
      status=1
      echo "$folder/log:"
      grep -E 'error|ERROR|FAILED' "$folder/log" | head -5 || tail -5 "$folder/log"
    fi
  done
  rows+=("$row")
done
printf '%s\n' "${rows[@]}" | column -t -s '|'
exit $status
