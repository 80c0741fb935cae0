#!/usr/bin/env bash
# The walls of the map, checked: who may include whom.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
wall() { # WHERE PATTERN WHY
    local hits
    hits=$(grep -rnE "^#include $2" $1 --include='*.c' --include='*.h' 2>/dev/null || true)
    if [ -n "$hits" ]; then
        echo "$3:"
        echo "$hits"
        failed=$((failed + 1))
    fi
}
wall daemon/core '"(issuer|agent|peer|store|console|gateway|ctl|client|node|hal|conf|tests)/' "core includes only itself"
wall daemon/core '<(stdio|stdlib|time|unistd|pthread|uv|mbedtls|sys/)' "core has no system headers"
wall hal/linux '"(hal/)?sim' "hal/linux includes hal/sim"
wall hal/sim '"(hal/)?linux' "hal/sim includes hal/linux"
wall "daemon hal conf" '"tests/' "the product includes tests"
wall daemon/guard '<(uv|mbedtls)' "the guard includes libuv or TLS"
echo "$((6 - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
