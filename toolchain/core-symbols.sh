#!/usr/bin/env bash
# The core must need nothing from an operating system: every symbol that its objects leave
# undefined, once linked together, is on this list. core-symbols.sh [BUILD [TOOLS' PREFIX]]
set -euo pipefail
build=${1:-build}
prefix=${2:-}
cd "$(dirname "$0")/.."
# Of the compiler itself: the stack's guard, and what 32-bit ARM has no instruction for.
compiler='__stack_chk_(fail|guard)|_GLOBAL_OFFSET_TABLE_|__aeabi_(ldivmod|uldivmod|idiv|uidiv|idivmod|uidivmod|lmul|llsl|llsr)'
allowed="^(memcpy|memmove|memset|memcmp|strlen|hf_panic|pb_[a-z0-9_]+|$compiler)\$"
joined=$(mktemp)
trap 'rm -f "$joined"' EXIT
mapfile -t objects < <(find daemon/core -name '*.c' | sed "s|^|$build/obj/|; s|c\$|o|") # no moved source's
[ ${#objects[@]} -gt 0 ] || { echo "no core objects in $build"; exit 1; }
"${prefix}ld" -r -o "$joined" "${objects[@]}" "$build/gen/holdfast.pb.o"
bad=$("${prefix}nm" -u "$joined" | awk '{print $2}' | grep -Ev "$allowed" || true)
if [ -n "$bad" ]; then
    echo "the core leaves these undefined:" $bad
    echo "0 passed, 1 failed"
    exit 1
fi
echo "${#objects[@]} core objects need nothing from the system"
echo "1 passed, 0 failed"
