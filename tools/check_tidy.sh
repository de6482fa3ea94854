#!/usr/bin/env bash
# Checks the library's headers with clang-tidy 14 and the rules of .clang-tidy:
#   bash tools/check_tidy.sh [more compiler flags, or @file with some]
# Skipped (77) without clang-tidy 14: versions differ in what they report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for clang_tidy in clang-tidy-14 clang-tidy none; do
  if command -v "$clang_tidy" >/dev/null && "$clang_tidy" --version | grep -q 'version 14\.'; then
    break
  fi
done
if [[ $clang_tidy == none ]]; then
  echo "skipped: clang-tidy 14 is not installed"
  exit 77
fi

flags=()
for flag in "$@"; do
  if [[ $flag == @* ]]; then # clang-tidy does not read a file of flags itself
    read -r -d '' -a more <"${flag#@}" || true
    flags+=("${more[@]}")
  else
    flags+=("$flag")
  fi
done

# One unit with every header, so that each is read once, but those that are for linked programs.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find include backends -name '*.hpp' | grep -vE '/(bodies|implementation)\.hpp$' | sort |
  sed -E 's,^(include|backends)/(.*),#include <\2>,' >"$work/headers.cpp"
"$clang_tidy" --quiet --config-file=.clang-tidy "$work/headers.cpp" -- \
  -std=c++20 -Iinclude -Ibackends "${flags[@]}" 2> >(grep -v 'warnings generated' >&2)
echo "$(wc -l <"$work/headers.cpp") headers obey .clang-tidy"
