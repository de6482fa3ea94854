#!/usr/bin/env bash
# check.sh <installed|fetched|plain> <compiler> <source dir> <build dir> <work dir> [flags...]
# Builds and runs main.cpp as a user's project would: against an installed copy or by FetchContent,
# both as debug builds with ldlm::ldlm and with ldlm::simd, or with two -I flags (and the flags
# given here, which lead to the libraries that headers use) and no optimisation.
set -euo pipefail

method=$1 compiler=$2 source=$3 build=$4 work=$5
shift 5
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
launcher=$(command -v ccache || true)
rm -rf "$work"
mkdir -p "$work"

# says <text> <program...>: what backend_info has to say, and no more than that.
says() {
  local text=$1 output
  shift
  output=$("$@")
  printf '%s\n' "$output"
  grep -q "$text" <<<"$output" || { echo "$* does not say $text" && return 1; }
}
build_debug() {
  cmake -S "$source/tests/consumer" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$warnings" \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" "$@"
  cmake --build "$work/build"
  if [[ $(uname -m) == x86_64 ]] && grep -q avx2 /proc/cpuinfo; then
    says 'simd: sse2, .*; this processor has avx.*: link ldlm::simd' "$work/build/consumer"
  else
    says 'simd: ' "$work/build/consumer"
  fi
  cmake --build "$work/build" --target consumer_simd
  says 'simd: [a-z0-9.]*, [0-9]* threads*$' "$work/build/consumer_simd"
}

case $method in
  installed)
    cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
    build_debug -DCONSUMER_METHOD=find_package -DCMAKE_PREFIX_PATH="$work/prefix"
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
    build_debug -DCONSUMER_METHOD=FetchContent -DLDLM_SOURCE_DIR="$source"
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
    # Without optimisation intrinsics are macros, and not every xsimd compiles.
    if [[ $(uname -m) == x86_64 ]]; then
      for level in native x86-64-v2 x86-64-v4; do
        $launcher "$compiler" -std=c++20 -O0 -march=$level "$@" -I"$source/include" \
          -I"$source/backends" -c "$source/tools/ldlm/kernels.cpp" -o "$work/$level.o"
      done
      $launcher "$compiler" -std=c++20 -O0 -DLDLM_KERNELS_LINKED "$@" -I"$source/include" \
        -I"$source/backends" -c "$source/tests/consumer/main.cpp" -o "$work/consumer.o"
      "$compiler" "$work/consumer.o" "$work/native.o" -o "$work/consumer" -pthread
      says 'simd: [a-z0-9.]*, [0-9]* threads*$' "$work/consumer"
    fi
    ;;
esac
