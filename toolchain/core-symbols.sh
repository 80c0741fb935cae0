#!/usr/bin/env bash
# The core must need nothing from an operating system: every symbol that its objects leave
# undefined, once linked together, is on this list.
set -euo pipefail
build=${1:-build}
cd "$(dirname "$0")/.."
allowed='^(memcpy|memmove|memset|memcmp|strlen|hf_panic|pb_[a-z0-9_]+|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$'
joined=$(mktemp)
trap 'rm -f "$joined"' EXIT
mapfile -t objects < <(find daemon/core -name '*.c' | sed "s|^|$build/obj/|; s|c\$|o|") # no moved source's
[ ${#objects[@]} -gt 0 ] || { echo "no core objects in $build"; exit 1; }
ld -r -o "$joined" "${objects[@]}" "$build/gen/holdfast.pb.o"
bad=$(nm -u "$joined" | awk '{print $2}' | grep -Ev "$allowed" || true)
if [ -n "$bad" ]; then
    echo "the core leaves these undefined:" $bad
    echo "0 passed, 1 failed"
    exit 1
fi
echo "${#objects[@]} core objects need nothing from the system"
echo "1 passed, 0 failed"
