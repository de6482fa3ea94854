#!/usr/bin/env bash
# run_level.sh <LDLM_ISA> <program> [arguments]
# Runs it with the kernels of that instruction set; skips it where the processor lacks it, as those
# of a narrower one, which have their own run, would take their place.
set -euo pipefail

level=$1
shift
if [[ $level != baseline && -r /proc/cpuinfo ]] && ! grep -q "$level" /proc/cpuinfo; then
  echo "skipped: this processor has no $level"
  exit 77
fi
LDLM_ISA=$level exec "$@"
