#!/usr/bin/env bash
# Runs every harness of tests/fuzz for FUZZ_SECONDS, as many at once as there are cores.
# Usage: fuzz.sh FOLDER, where FOLDER/bin/fuzz_* are. Ends with one line "N passed, M failed".
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
seconds=${FUZZ_SECONDS:-30}
mkdir -p "$folder/failed"

one() {
    local program=$1 folder=$2 seconds=$3 name
    name=$(basename "$program")
    mkdir -p "$folder/corpus/$name"
    local seeds=("$folder/corpus/$name")
    [ -d "tests/fuzz/corpus/${name#fuzz_}" ] && seeds+=("tests/fuzz/corpus/${name#fuzz_}")
    [ "$name" = fuzz_conf ] && seeds+=(conf/examples)
    if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -use_value_profile=1 \
        -print_final_stats=1 -artifact_prefix="$folder/failed/$name-" "${seeds[@]}" \
        >"$folder/$name.log" 2>&1; then
        echo "ok   $name: $(sed -nE 's/^stat::number_of_executed_units: +//p' "$folder/$name.log") inputs"
    else
        echo "FAIL $name, see $folder/$name.log"
        grep -E -m3 'ERROR|runtime error|assertion failed' "$folder/$name.log" || true
    fi
}
export -f one
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\n' "$folder"/bin/fuzz_* | xargs -P"$(nproc)" -I{} bash -c 'one "$@"' _ {} "$folder" \
    "$seconds" | tee "$folder/summary"
failed=$(grep -c '^FAIL' "$folder/summary" || true)
echo "$(grep -c '^ok' "$folder/summary" || true) passed, $failed failed"
[ "$failed" -eq 0 ]
