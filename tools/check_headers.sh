#!/usr/bin/env bash
# Checks that headers compile by themselves, without warnings:
#   bash tools/check_headers.sh [--matrix|--sample[=N]] [compiler, c++ by default] [more flags]
# Without the first argument each is parsed; with --matrix each becomes a program of its own under
# every row of flags below (hours); with --sample one in N (29) does, under one row each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=parse stride=29
case ${1:-} in
  --matrix) mode=matrix && shift ;;
  --sample | --sample=*) mode=sample && [[ $1 != *=* ]] || stride=${1#*=} && shift ;;
esac
compiler=${1:-c++}
shift || true
if ! command -v "$compiler" >/dev/null; then
  echo "skipped: $compiler is not installed"
  exit 77
fi

flags=()
for flag in "$@"; do
  if [[ $flag == @* ]]; then # its path would be part of what a compiler cache knows
    read -r -d '' -a more <"${flag#@}" || true
    flags+=("${more[@]}")
  else
    flags+=("$flag")
  fi
done

# Each level, instruction set and standard; unoptimised with every set, since intrinsics are macros
# then.
rows=("-std=c++20 -O0" "-std=c++20 -O1" "-std=c++23 -Og -D_GLIBCXX_DEBUG" "-std=c++23 -O2"
  "-std=c++20 -O3 -D_GLIBCXX_DEBUG" "-std=c++20 -Os")
if [[ $(uname -m) == x86_64 ]]; then
  rows=(
    "-std=c++20 -O0 -march=native"
    "-std=c++20 -O1 -march=x86-64-v2"
    "-std=c++23 -Og -march=x86-64 -D_GLIBCXX_DEBUG"
    "-std=c++23 -O2 -march=x86-64-v4"
    "-std=c++20 -O3 -march=x86-64-v3 -D_GLIBCXX_DEBUG"
    "-std=c++20 -Os -march=native"
    "-std=c++23 -O0 -march=x86-64"
    "-std=c++20 -O0 -march=x86-64-v2"
    "-std=c++20 -O0 -march=x86-64-v3"
    "-std=c++23 -O0 -march=x86-64-v4 -D_GLIBCXX_DEBUG"
  )
fi

export LDLM_ROOT=$PWD launcher=$(command -v ccache || true)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# check_header <header> <row, or nothing to parse alone> <compiler> [flags...]
check_header() {
  local header=$1 row=$2 name stub
  shift 2
  # As an input of its own, a header would draw a warning about `#pragma once`.
  name=${header#include/}
  name=${name#backends/}
  stub=${name//\//-}${row//[ =]/}
  printf '#include <%s>\nint main() {}\n' "$name" >"$stub.cpp"
  case $name in # bodies are compiled once, for all units that are linked to them
    */impl/* | ldlm/bodies.hpp | ldlm/implementation.hpp) set -- "$@" -DLDLM_LINKED ;;
  esac
  set -- "$@" -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -I"$LDLM_ROOT/include" \
    -I"$LDLM_ROOT/backends"
  if [[ -z $row ]]; then
    "$@" -std=c++20 -fsyntax-only "$stub.cpp"
  else # a part of the library may refer to what a program has from <ldlm/implementation.hpp>
    # shellcheck disable=SC2086 # the row is several flags
    $launcher "$@" $row -c "$stub.cpp" -o "$stub.o" &&
      { [[ $* == *-DLDLM_LINKED* ]] || "$1" "$stub.o" -o "$stub" -pthread; }
  fi || { echo "$header does not compile by itself: ${row:-parsed}" && return 1; }
  rm -f "$stub" "$stub.o" "$stub.cpp"
}
export -f check_header

mapfile -t headers < <(find include backends -name '*.hpp' | sort)
case $mode in
  parse) printf '%s\n\n' "${headers[@]}" ;;
  sample)
    for ((i = 0, row = 0; i < ${#headers[@]}; i += stride, ++row)); do
      printf '%s\n%s\n' "${headers[i]}" "${rows[row % ${#rows[@]}]}"
    done ;;
  matrix)
    for row in "${rows[@]}"; do
      for header in "${headers[@]}"; do
        printf '%s\n%s\n' "$header" "$row"
      done
    done ;;
esac >"$work/checks"
cd "$work"
tr '\n' '\0' <checks |
  xargs -0 -n2 -P "$(nproc)" bash -c 'check_header "${@: -2}" "${@:1:$#-2}"' _ "$compiler" "${flags[@]}"
echo "$(($(wc -l <checks) / 2)) times a header compiled by itself"
