#!/usr/bin/env bash
# Verifies the lease protocol's model exhaustively, then sees that every mutant of it is found.
# Needs spin and gcc. Leaves nothing behind. Ends with one line "N passed, M failed".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
memory_mb=2048

command -v spin >/dev/null || {
    echo "model: spin is not installed: apt-get install --no-install-recommends spin" >&2
    exit 1
}

# The bounds of each configuration; README.md says what they mean.
deep="-DTERMS=2 -DTOKENS=3 -DTTL=3 -DRELEASE=1"
terms="-DTERMS=3 -DTOKENS=2 -DTTL=2 -DRELEASE=0"
wide="-DWIDE -DTERMS=2 -DTOKENS=2 -DTTL=2 -DRELEASE=0"

# build FOLDER GCC-OPTIONS MODEL-OPTIONS...
build() {
    local folder=$work/$1 options=$2
    shift 2
    mkdir "$folder"
    # shellcheck disable=SC2086
    (cd "$folder" && spin -a "$@" "$here/lease.pml" >spin.txt 2>&1 &&
        gcc $options -DSAFETY -DNOREDUCE -DMEMLIM=$memory_mb -w -o pan pan.c)
}

verdict() { # 0 NAME TEXT: passed; 1: failed
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok   $2: $3"
    else
        failed=$((failed + 1))
        echo "FAIL $2: $3"
    fi
}

field() { sed -nE "s/$1/\\1/p" "$2" | head -1; }

figures() { # of one report
    printf '%s states, %s MB, %s s' "$(field '^ *([0-9.e+]+) states, stored.*' "$1")" \
        "$(field '^ *([0-9.]+).total actual memory usage' "$1")" \
        "$(field '^pan: elapsed time ([0-9.e+-]+) seconds' "$1")"
}

# Steps that no run takes, but for the ends of loops without end.
unreached() { grep -E 'lease\.pml:[0-9]+, state' "$1" | grep -v '"-end-"' || true; }

# rule NAME MODEL-OPTIONS...: no error, nothing cut short, no step of any party that never happens
rule() {
    local name=$1 report=$work/$1/report.txt
    shift
    if ! build "$name" -O2 "$@"; then
        verdict 1 "rule, $name" "does not build"
        return
    fi
    (cd "$work/$name" && ./pan -m200000 -w24 >report.txt 2>&1) || true
    if ! grep -q ' errors: 0$' "$report"; then
        verdict 1 "rule, $name" "$(grep -m1 'pan:' "$report" || echo 'no result')"
    elif grep -qE 'not completed|too small|out of memory|truncated' "$report"; then
        verdict 1 "rule, $name" "the search was not exhaustive"
    elif unreached "$report" | grep -q .; then
        verdict 1 "rule, $name" "never happens: $(unreached "$report")"
    else
        verdict 0 "rule, $name" "$(figures "$report"), depth $(
            field '.*depth reached ([0-9]+),.*' "$report")"
    fi
    rm -r "${work:?}/$name"
}

# mutant NAME CLAIM MODEL-OPTIONS...: breadth first, so the counterexample is a shortest one
mutant() {
    local name=$1 claim=$2 report=$work/mutant/report.txt found
    shift 2
    rm -rf "$work/mutant"
    if ! build mutant "-O1 -DBFS" "-DMUTANT_$name" "$@"; then
        verdict 1 "mutant $name" "does not build"
        return
    fi
    (cd "$work/mutant" && ./pan -w24 -n >report.txt 2>&1) || true
    case $(grep -m1 'assertion violated' "$report" || true) in
    *heard*) found=S4 ;;
    *highest*) found=S2 ;;
    *guard* | *fence*) found=S1 ;;
    *) found=nothing ;;
    esac
    if [ "$found" = "$claim" ]; then
        verdict 0 "mutant $name" "breaks $found in $(
            field '.*depth reached ([0-9]+),.*' "$report") steps ($(figures "$report"))"
    else
        verdict 1 "mutant $name" "expected to break $claim, broke $found ($(figures "$report"))"
    fi
}

# shellcheck disable=SC2086
{
    rule deep $deep
    rule terms $terms
    rule wide $wide
    # The margins and instants of timing.c.
    mutant DEADLINE_FROM_REPLY S1 $deep
    mutant DEADLINE_FROM_ACQUIRE S1 $deep
    mutant DRIVES_ON_GRANT S1 $deep
    mutant PERMIT_AS_DURATION S1 $deep
    mutant HOLDER_WITHOUT_RHO S1 $deep
    mutant ISSUER_WITHOUT_RHO S1 $deep
    mutant FENCE_LEFT_OUT S1 $deep
    mutant RELEASE_TIME_LEFT_OUT S1 $deep
    mutant CLOCK_PAST_DRIFT S1 $deep
    # Leadership and confirmation rounds: by S4's own oracle, and by what comes of it.
    mutant NO_HOLD_OFF S1 $deep
    mutant SERVES_BEFORE_NO_OP S1 $deep
    mutant NO_ROUND S4 $deep
    mutant NO_ROUND S1 $deep -DONLY_S1
    mutant ACK_COUNTED_TWICE S4 $deep
    mutant ACK_COUNTED_TWICE S1 $deep -DONLY_S1
    mutant OLD_ACK_COUNTED S4 $deep
    mutant OLD_ACK_COUNTED S1 $deep -DONLY_S1
    mutant LATE_ARRIVAL_ANSWERED S4 $deep
    mutant LATE_ARRIVAL_ANSWERED S1 $wide -DONLY_S1
    mutant RENEWED_WHILE_PENDING S1 $deep
    # Tokens and releases.
    mutant TOKEN_REUSED S2 $deep
    mutant RELEASE_WITHOUT_TOKEN S1 $deep
    mutant UNFENCED_FREES S1 $deep
    mutant FENCED_WITHOUT_PROOF S1 $deep
    mutant PROOF_IGNORES_PERMIT S1 $deep
    mutant NOT_DISOWNED S1 $deep
    mutant OLD_CONNECTION_HEARD S1 $deep
}

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
