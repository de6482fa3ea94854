#!/usr/bin/env bash
# on_card.sh <ldlm> <program...>: runs a test on this machine's card; skipped where there is none.
set -euo pipefail

if "$1" --json devices | grep '"device":"cuda".*"error"'; then
  echo "skipped"
  exit 77
fi
shift
exec "$@"
