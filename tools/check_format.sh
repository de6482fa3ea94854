#!/usr/bin/env bash
# Checks that clang-format 14 would leave every C++ file as it is; with --fix, formats them.
# Other versions disagree with 14 about details, so that without it the check is skipped (77).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for clang_format in clang-format-14 clang-format none; do
  if command -v "$clang_format" >/dev/null &&
    "$clang_format" --version | grep -q 'version 14\.'; then
    break
  fi
done
if [[ $clang_format == none ]]; then
  echo "skipped: clang-format 14 is not installed"
  exit 77
fi

mapfile -d '' files < <(find include backends examples tests benchmarks tools -type f \
  \( -name '*.hpp' -o -name '*.cpp' -o -name '*.cuh' -o -name '*.cu' \) -print0 | sort -z)
if [[ ${1:-} == --fix ]]; then
  exec "$clang_format" -i "${files[@]}"
fi

unformatted=()
for file in "${files[@]}"; do
  "$clang_format" "$file" | cmp -s - "$file" || unformatted+=("$file")
done
if [[ ${#unformatted[@]} -gt 0 ]]; then
  printf 'not formatted: %s\n' "${unformatted[@]}"
  echo "bash tools/check_format.sh --fix formats them"
  exit 1
fi
echo "${#files[@]} files are formatted"
