#!/usr/bin/env bash
# check.sh <installed|fetched|plain> <compiler> <source dir> <build dir> <work dir> [flags...]
# Builds and runs main.cpp and part.cpp as a user's project would: a debug build against an installed
# copy, with ldlm::ldlm and with ldlm::header_only; a release build by FetchContent; or with two -I
# flags (and the flags given here, which lead to the libraries that headers use) and no optimisation,
# once with all of the library in each file, and once in a file of its own.
set -euo pipefail

method=$1 compiler=$2 source_dir=$3 build=$4 work=$5
shift 5
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
launcher=$(command -v ccache || true)
rm -rf "$work"
mkdir -p "$work"
consumer="$source_dir/tests/consumer"

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
  cmake -S "$source_dir/tests/consumer" -B "$work/$type" -G Ninja -DCMAKE_BUILD_TYPE="$type" \
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
    build Release -DCONSUMER_METHOD=FetchContent -DLDLM_SOURCE_DIR="$source_dir"
    ;;
  plain)
    # compile <file> <object> [flags...]
    libraries=("$@")
    compile() {
      local source=$1 object=$2
      shift 2
      # shellcheck disable=SC2086 # the warnings are several words
      $launcher "$compiler" -std=c++20 -O0 $warnings "${libraries[@]}" -I"$source_dir/include" \
        -I"$source_dir/backends" "$@" -c "$source" -o "$work/$object.o"
    }
    # The files say nothing: each has all of the library, which is inline.
    compile "$consumer/main.cpp" main
    compile "$consumer/part.cpp" part
    ar rcs "$work/libpart.a" "$work/part.o"
    if nm -C "$work/main.o" | grep -E '^[0-9a-f]+ [TDBR] .*ldlm::'; then
      echo "the library's headers define these in every unit that includes them"
      exit 1
    fi
    "$compiler" "$work/main.o" "$work/libpart.a" -o "$work/consumer" -pthread
    "$work/consumer"
    # One file has it, and the others, one of them in a library, are quick to compile.
    compile "$consumer/main.cpp" main -DLDLM_LINKED
    compile "$consumer/part.cpp" part -DLDLM_LINKED
    compile "$consumer/ldlm.cpp" ldlm -DLDLM_LINKED
    rm "$work/libpart.a"
    ar rcs "$work/libpart.a" "$work/part.o"
    "$compiler" "$work/main.o" "$work/libpart.a" "$work/ldlm.o" -o "$work/consumer" -pthread
    "$work/consumer"
    # Where none has it, the linker names what is missing; and where only the kernels are, the first
    # op says so.
    if "$compiler" "$work/main.o" "$work/libpart.a" -o "$work/forgotten" -pthread 2>"$work/error"; then
      echo "a program without the library's functions links"
      exit 1
    fi
    grep -q 'ldlm::JsonReader::parse' "$work/error"
    compile "$source_dir/tools/ldlm/bodies.cpp" bodies -DLDLM_LINKED
    "$compiler" "$work/main.o" "$work/libpart.a" "$work/bodies.o" -o "$work/forgotten" -pthread
    if "$work/forgotten" 2>"$work/error"; then
      echo "a program without kernels ran"
      exit 1
    fi
    grep 'no cpu backend for f32 in this program; include <ldlm/implementation.hpp> in one file' \
      "$work/error"
    # Without optimisation intrinsics are macros, and not every xsimd compiles.
    if [[ $(uname -m) == x86_64 ]]; then
      for level in native x86-64-v2 x86-64-v4; do
        compile "$source_dir/tools/ldlm/kernels.cpp" $level -DLDLM_LINKED -march=$level
      done
      "$compiler" "$work/main.o" "$work/libpart.a" "$work/bodies.o" "$work/native.o" \
        -o "$work/consumer" -pthread
      says 'simd: [a-z0-9.]*, [0-9]* threads*$' "$work/consumer"
    fi
    ;;
esac
