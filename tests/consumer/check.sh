#!/usr/bin/env bash
# check.sh <installed|fetched|plain> <compiler> <source dir> <build dir> <work dir> [flags...]
# Builds and runs main.cpp as a user's project would: against an installed copy, by FetchContent,
# or with two -I flags (and the flags given here, which lead to the libraries that headers use).
set -euo pipefail

method=$1 compiler=$2 source=$3 build=$4 work=$5
shift 5
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
launcher=$(command -v ccache || true)
rm -rf "$work"
mkdir -p "$work"

configure() {
  cmake -S "$source/tests/consumer" -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_CXX_FLAGS="-O0 $warnings" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" "$@"
  cmake --build "$work/build"
  "$work/build/consumer"
}

case $method in
  installed)
    cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
    configure -DCONSUMER_METHOD=find_package -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build "$work/build" --target consumer_simd
    nm -C "$work/build/CMakeFiles/consumer_simd.dir/main.cpp.o" >"$work/symbols"
    if grep 'ldlm::simd::' "$work/symbols"; then
      echo "ldlm::simd has these kernels, yet its user compiles them"
      exit 1
    fi
    for isa in baseline avx2 avx512; do
      LDLM_ISA=$isa "$work/build/consumer_simd"
    done
    ;;
  fetched)
    configure -DCONSUMER_METHOD=FetchContent -DLDLM_SOURCE_DIR="$source"
    ;;
  plain)
    # shellcheck disable=SC2086 # the warnings are several words
    $launcher "$compiler" -std=c++20 -O0 $warnings "$@" -I"$source/include" \
      -I"$source/backends" -c "$source/tests/consumer/main.cpp" -o "$work/consumer.o"
    # Two units of a user's may include the library: it defines nothing that is not inline.
    if nm -C "$work/consumer.o" | grep -E '^[0-9a-f]+ [TDBR] .*ldlm::'; then
      echo "the library's headers define these in every unit that includes them"
      exit 1
    fi
    "$compiler" "$work/consumer.o" -o "$work/consumer" -pthread
    "$work/consumer"
    ;;
esac
