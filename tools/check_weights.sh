#!/usr/bin/env bash
# Every file in weights/ is in the manifest with the checksum that it has, and all of them together
# stay small enough for a clone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../weights"
most=40000000 # bytes

sha256sum --check --strict --quiet SHA256SUMS
listed=$(sed 's/^[0-9a-f]* [ *]//' SHA256SUMS | sort)
present=$(find . -type f ! -name SHA256SUMS ! -name README.md | sed 's|^\./||' | sort)
if [[ $listed != "$present" ]]; then
  echo "check_weights: SHA256SUMS and the files differ:" >&2
  diff <(echo "$listed") <(echo "$present") >&2 || true
  exit 1
fi
size=$(find . -type f -printf '%s\n' | awk '{s += $1} END {print s}')
if ((size > most)); then
  echo "check_weights: $size bytes of weights, at most $most are allowed" >&2
  exit 1
fi
echo "weights: $(echo "$listed" | wc -l) files, $size bytes, all as in SHA256SUMS"
