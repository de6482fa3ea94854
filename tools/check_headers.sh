#!/usr/bin/env bash
# Checks that every header compiles by itself, without warnings:
#   bash tools/check_headers.sh [compiler, c++ by default] [more flags]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

compiler=${1:-c++}
shift || true
if ! command -v "$compiler" >/dev/null; then
  echo "skipped: $compiler is not installed"
  exit 77
fi

flags=()
for flag in "$@"; do
  if [[ $flag == @* ]]; then # its path would be part of what the cache knows
    read -r -d '' -a more <"${flag#@}" || true
    flags+=("${more[@]}")
  else
    flags+=("$flag")
  fi
done

# Each is compiled, and not only parsed, so that a compiler cache knows it the next time.
export LDLM_ROOT=$PWD launcher=$(command -v ccache || true)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check_header() {
  local header=$1 name stub && shift
  # As an input of its own, a header would draw a warning about `#pragma once`.
  name=${header#include/}
  name=${name#backends/}
  stub=${name//\//-}
  printf '#include <%s>\n' "$name" >"$stub.cpp"
  case $name in # bodies are compiled once, for all units that are linked to them
    */impl/* | ldlm/bodies.hpp | ldlm/implementation.hpp) set -- "$@" -DLDLM_LINKED ;;
  esac
  $launcher "$@" -std=c++20 -c -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
    -I"$LDLM_ROOT/include" -I"$LDLM_ROOT/backends" "$stub.cpp" -o "$stub.o" ||
    { echo "$header does not compile by itself" && return 1; }
}
export -f check_header

headers=$(find include backends -name '*.hpp' | sort)
cd "$work"
xargs -P "$(nproc)" -I{} bash -c 'check_header "$@"' _ {} "$compiler" "${flags[@]}" <<<"$headers"
echo "$(wc -l <<<"$headers") headers compile by themselves"
