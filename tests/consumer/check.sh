#!/usr/bin/env bash
# check.sh <installed|fetched|plain> <compiler> <source dir> <build dir> <work dir> [flags...]
# Builds and runs main.cpp and part.cpp as a user's project would: a debug build against an installed
# copy, with ldlm::ldlm and with ldlm::header_only; a release build by FetchContent; or with two -I
# flags (and the flags given here, which lead to the libraries that headers use) and no optimisation.
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
build() { # <Debug|Release> [arguments for cmake...]
  local type=$1
  shift
  cmake -S "$source/tests/consumer" -B "$work/$type" -G Ninja -DCMAKE_BUILD_TYPE="$type" \
    -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$warnings" \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" "$@"
  cmake --build "$work/$type" --target consumer_ldlm
  says 'simd: [a-z0-9.]*, [0-9]* threads*$' "$work/$type/consumer_ldlm"
}
build_header_only() {
  cmake --build "$work/Debug" --target consumer_header_only
  if [[ $(uname -m) == x86_64 ]] && grep -q avx2 /proc/cpuinfo; then
    says 'simd: sse2, .*; this processor has avx.*: link ldlm::ldlm' "$work/Debug/consumer_header_only"
  else
    says 'simd: ' "$work/Debug/consumer_header_only"
  fi
}

case $method in
  installed)
    cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
    build Debug -DCONSUMER_METHOD=find_package -DCMAKE_PREFIX_PATH="$work/prefix"
    build_header_only
    nm -C "$work/Debug/CMakeFiles/consumer_ldlm.dir/main.cpp.o" >"$work/symbols"
    if grep 'ldlm::simd::' "$work/symbols"; then
      echo "ldlm::ldlm has these kernels, yet its user compiles them"
      exit 1
    fi
    for isa in baseline avx2 avx512; do
      LDLM_ISA=$isa "$work/Debug/consumer_ldlm"
    done
    ;;
  fetched)
    build Release -DCONSUMER_METHOD=FetchContent -DLDLM_SOURCE_DIR="$source"
    ;;
  plain)
    # compile <file> [flags...]: an object of the same name
    compile() {
      local file=$1
      shift
      # shellcheck disable=SC2086 # the warnings are several words
      $launcher "$compiler" -std=c++20 -O0 $warnings "${libraries[@]}" -I"$source/include" \
        -I"$source/backends" "$@" -c "$source/tests/consumer/$file.cpp" -o "$work/$file.o"
    }
    # One file has the kernels, the others, here in a library, say that it has.
    libraries=("$@")
    compile main
    compile part -DLDLM_LINKED
    ar rcs "$work/libpart.a" "$work/part.o"
    # Two units of a user's may include the library: it defines nothing that is not inline.
    if nm -C "$work/main.o" | grep -E '^[0-9a-f]+ [TDBR] .*ldlm::'; then
      echo "the library's headers define these in every unit that includes them"
      exit 1
    fi
    "$compiler" "$work/main.o" "$work/libpart.a" -o "$work/consumer" -pthread
    "$work/consumer"
    # Where none has them, the first op says so.
    compile main -DLDLM_LINKED
    "$compiler" "$work/main.o" "$work/libpart.a" -o "$work/forgotten" -pthread
    if "$work/forgotten" 2>"$work/error"; then
      echo "a program without kernels ran"
      exit 1
    fi
    grep 'no cpu backend for f32 in this program; include <ldlm/ldlm.hpp> without LDLM_LINKED' \
      "$work/error"
    # Without optimisation intrinsics are macros, and not every xsimd compiles.
    if [[ $(uname -m) == x86_64 ]]; then
      for level in native x86-64-v2 x86-64-v4; do
        $launcher "$compiler" -std=c++20 -O0 -march=$level "$@" -I"$source/include" \
          -I"$source/backends" -c "$source/tools/ldlm/kernels.cpp" -o "$work/$level.o"
      done
      "$compiler" "$work/main.o" "$work/libpart.a" "$work/native.o" -o "$work/consumer" -pthread
      says 'simd: [a-z0-9.]*, [0-9]* threads*$' "$work/consumer"
    fi
    ;;
esac
