#!/usr/bin/env bash
# Static checks: cppcheck over all sources at once, clang-tidy (.clang-tidy) and clang-format
# (.clang-format, Debian 12's version 14) a file at a time, on all cores; and gcc's own check where a long has 32
# bits. `lint.sh cppcheck` and `lint.sh bits` do only the first and the last, which are quick. A check is one tool over
# one file; ends with one line "N passed, M failed".
set -euo pipefail
cd "$(dirname "$0")/.."
only=${1:-all}
build=${BUILD:-build}
jobs=$(nproc)
[ -f "$build/gen/holdfast.pb.h" ] || make --no-print-directory BUILD="$build" "$build/gen/holdfast.pb.h" >&2
flags=(-D_GNU_SOURCE '-DHOLDFAST_VERSION="0"' -Idaemon/core -Idaemon -Idaemon/client -Ihal/include
       -I. "-I$build/gen")
mapfile -t files < <(find daemon conf hal tests/bench -name '*.c' | sort)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

checks=0
failed=0

# As a board of armhf counts, without its headers: Debian's own, told that they are for 32 bits. Of 32-bit packages
# they want one file, which may be empty. Left out is tests/system: preloaded into programs, and run, on this
# machine alone, and built with flags of its own. tests/fuzz is built without -Wconversion.
if [ "$only" != cppcheck ]; then
    mkdir -p "$results/bits/gnu"
    : >"$results/bits/gnu/stubs-32.h"
    narrow=(-m32 -fsyntax-only -std=c11 -Wall -Wextra -Wshadow -Wswitch-enum -Wstrict-prototypes -Werror
            -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -DMBEDTLS_PLATFORM_TIME_TYPE_MACRO=long "-I$results/bits"
            -idirafter "/usr/include/$(gcc -print-multiarch)" "${flags[@]}")
    if gcc -m32 -fsyntax-only -xc /dev/null 2>/dev/null; then
        mapfile -t strict < <(find daemon conf hal tests -name '*.c' ! -path 'tests/system/*' ! -path 'tests/fuzz/*' | sort)
        mapfile -t loose < <(find tests/fuzz -name '*.c' | sort)
        { printf '%s\0' "${strict[@]}" | xargs -0 -P"$jobs" -n 8 gcc "${narrow[@]}" -Wconversion || echo "gcc: failed"
          gcc "${narrow[@]}" "${loose[@]}" || echo "gcc: failed"; } >"$results/narrow" 2>&1
        grep -E '(error|warning):' "$results/narrow" || true
        wrong=$(sed -nE 's/^([^ :]+):[0-9:]+ (fatal )?error:.*/\1/p' "$results/narrow" | sort -u | wc -l)
        # Whatever else made it fail is one failure.
        [ "$wrong" -gt 0 ] || wrong=$(grep -c '^gcc: failed' "$results/narrow" || true)
        checks=$((checks + ${#strict[@]} + ${#loose[@]}))
        failed=$((failed + wrong))
    else
        echo "gcc here has no -m32: not checked for 32 bits"
    fi
fi
if [ "$only" = bits ]; then
    echo "$((checks - failed)) passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
fi

# Suppressions stand beside the line they are for, with the reason. Library headers are not read, so
# nanopb's check of its own version needs to be told.
cppcheck --quiet --std=c11 --language=c --enable=warning,style,performance,portability \
    --inline-suppr --max-configs=1 -j"$jobs" --suppress=unmatchedSuppression \
    --template='{file}:{line}: {severity}: {message} [{id}]' "${flags[@]}" \
    -DPB_PROTO_HEADER_VERSION=40 "${files[@]}" 2>"$results/cppcheck"
failed=$((failed + $(sed -nE 's/^([^ :]+):.*/\1/p' "$results/cppcheck" | sort -u | wc -l)))
cat "$results/cppcheck"
checks=$((checks + ${#files[@]}))

# One process a file: clang-tidy 14 carries some checkers' state over to the next file.
tidy() {
    local file=$1 name=${1//\//_}
    shift 2
    if ! clang-tidy --quiet "$file" -- -std=c11 "$@" >"$results/$name.tidy" 2>"$results/$name.log"; then
        { cat "$results/$name.tidy"; grep -E 'error:' "$results/$name.log"; } >"$results/$name.bad" || true
        cat "$results/$name.bad"
    fi
}
if [ "$only" = all ]; then
    export -f tidy
    export results
    # shellcheck disable=SC2016 # expanded by the inner shell
    printf '%s\n' "${files[@]}" | xargs -P"$jobs" -I{} bash -c 'tidy "$@"' _ {} -- "${flags[@]}"
    checks=$((checks + ${#files[@]}))
    failed=$((failed + $(find "$results" -name '*.bad' | wc -l)))
fi
# Every source and header, the tests' too.
if [ "$only" = all ]; then
    mapfile -t formatted < <(find daemon conf hal tests -name '*.[ch]' | sort)
    printf '%s\0' "${formatted[@]}" | xargs -0 -P"$jobs" -n 40 clang-format --dry-run 2>"$results/format" || true
    wrong=$(sed -nE 's/^([^ :]+):.*clang-format-violations.*/\1/p' "$results/format" | sort -u)
    [ -z "$wrong" ] || sed 's/$/: not as clang-format -i leaves it/' <<<"$wrong"
    checks=$((checks + ${#formatted[@]}))
    failed=$((failed + $(grep -c . <<<"$wrong" || true)))
fi
echo "$((checks - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
