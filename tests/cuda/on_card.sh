#!/usr/bin/env bash
# on_card.sh <ldlm> <program...>: runs a test on this machine's card; skipped where there is none.
set -euo pipefail

devices=$("$1" devices)
if grep -q '^cuda .*cannot be used' <<<"$devices"; then
  echo "skipped: $(grep '^cuda' <<<"$devices")"
  exit 77
fi
shift
exec "$@"
