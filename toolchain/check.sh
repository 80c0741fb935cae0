#!/usr/bin/env bash
# Everything that `make check` runs: build, symbols of the core, unit tests (plain and under
# ASan/UBSan), simulation, static checks, system tests. Ends with one line "N passed, M failed".
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
make --no-print-directory -j"$jobs" tests
exec /usr/bin/python3 toolchain/check.py --jobs "$jobs"
