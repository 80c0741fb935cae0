#!/usr/bin/env bash
# The walls of the map, checked: who may include whom.
set -euo pipefail
cd "$(dirname "$0")/.."
passed=0
failed=0
tell() { # WHY LINES: nothing in LINES is good
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        echo "$1:"
        echo "$2"
        failed=$((failed + 1))
    fi
}
wall() { # WHERE PATTERN WHY
    # shellcheck disable=SC2086 # several folders
    tell "$3" "$(grep -rnE "^#include $2" $1 --include='*.c' --include='*.h' 2>&1 || [ $? = 1 ] || echo "grep failed")"
}
wall daemon/core '"(issuer|agent|peer|store|console|gateway|ctl|client|node|hal|conf|tests)/' "core includes only itself"
wall daemon/core '<(stdio|stdlib|time|unistd|pthread|uv|mbedtls|sys/)' "core has no system headers"
wall daemon/core/base '"(raft|lease|guard|wire)/|"holdfast.pb' "core/base stands below the rest of the core"
wall daemon/core/raft '"(lease|guard|wire)/' "core/raft knows base only"
wall daemon/core/guard '"(raft|lease|wire)/' "core/guard knows base only"
wall daemon/core/lease '"wire/' "core/wire stands above core/lease"
wall hal/linux '"(hal/)?sim' "hal/linux includes hal/sim"
wall hal/sim '"(hal/)?linux' "hal/sim includes hal/linux"
wall "daemon hal conf" '"tests/' "the product includes tests"
wall daemon/guard '<(uv|mbedtls)' "the guard includes libuv or TLS"
# The roles of holdfastd know each other, the network and what stands above them by callbacks only.
wall daemon/agent '"(node|issuer|peer|console)/' "the agent knows a node, an issuer, the network or a console"
wall daemon/issuer '"(node|agent|peer|console)/' "the issuer knows a node, an agent, the network or a console"
wall daemon/peer '"(node|agent|issuer|console)/' "the network knows who speaks over it"
wall daemon/node '"console/' "the node knows the console, which stands above it"
wall "daemon/guard daemon/gateway" '"(node|agent|issuer|peer|console|store|backup)/' "guard or gateway is built of holdfastd"
wall daemon/provision '"(core|raft|lease|guard|wire|node|agent|issuer|peer|console|store|backup|ctl|log|hal|preflight)/|<mbedtls' "provision knows more than base and conf"
tell "a folder's private header is included by another folder" "$(
    grep -rnE '^#include "[a-z0-9_/]+_(private|internal)\.h"' daemon --include='*.c' --include='*.h' |
        awk -F: '{ from = $1; sub("/[^/]*$", "", from); sub(".*/", "", from); split($0, part, "\"");
                   to = part[2]; sub("/[^/]*$", "", to); sub(".*/", "", to); if (from != to) print }')"
tell "circles among the folders of daemon/" "$(python3 toolchain/circles.py 2>&1 || echo "(exit status $?)")"
tell "a planted circle is not found" "$(python3 toolchain/circles.py --self 2>&1 || echo "(exit status $?)")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
