#!/usr/bin/env bash
# check.sh: everything that only a machine with a GPU can tell, in steps of at most 10 minutes each; one table last. The environment says
# MAKE, NVCC, BUILD (folder for what is built) and BUNDLE (folder of libraries that `make gpu-bundle` filled, or nothing).
# Exit code 0 if nothing failed; what a missing tool skips is no failure.
set -u -o pipefail
build=$BUILD/gpu
logs=$build/check
limit=600

fail() {
    echo "make gpu-check: $1" >&2
    exit 1
}

command -v nvidia-smi > /dev/null || fail "no GPU here (no nvidia-smi)"
device=$(nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader 2> /dev/null | head -n 1)
architecture=$(sed -nE 's/^.*, *([0-9]+)\.([0-9])$/\1\2/p' <<< "$device")
[[ -n $architecture ]] || fail "no GPU here (nvidia-smi lists none)"
command -v "$NVCC" > /dev/null || fail "${device%,*}, but no nvcc to build for it"
mkdir -p "$logs"

steps=() results=() times=()
failed=0
note() { # step, result, seconds
    steps+=("$1") results+=("$2") times+=("$3")
    echo "$1: $2"
}
# Runs a command, its output to a log; what went wrong is shown by the log's end.
step() { # name, command...
    local name=$1 start=$SECONDS status result
    shift
    echo "$name: $*"
    timeout --kill-after=10 "$limit" "$@" > "$logs/$name.log" 2>&1 < /dev/null
    status=$?
    result=passed
    [[ $status == 0 ]] || result="failed ($status)"
    [[ $status != 124 && $status != 137 ]] || result="not done within $limit s"
    local counts  # of the last run; doctest counts test cases that were skipped at run time as passed
    counts=$(sed 's/\x1b\[[0-9;]*m//g' "$logs/$name.log" | awk '
        /^\[doctest\] test cases:/ { gsub(/[|]/, " "); passed = $5; failed = $7; skipped = 0 }
        /^\[doctest\] skipped:/ { skipped = $3 }
        END { if (passed != "") print passed - skipped " passed, " failed " failed, " skipped " skipped" }')
    [[ $status == 0 ]] || { failed=1; tail -n 30 "$logs/$name.log"; }
    note "$name" "$result${counts:+: $counts}" $((SECONDS - start))
    return "$status"
}
sanitize() { # tool
    if command -v compute-sanitizer > /dev/null; then
        TEST_DEVICES=cuda step "$1" compute-sanitizer --tool "$1" --error-exitcode 9 "$build/tests" "$KERNEL_TESTS"
    else
        note "$1" "skipped: no compute-sanitizer here" 0
    fi
}

echo "$device"
if step build "$MAKE" --no-print-directory -j"$(nproc)" CUDA=1 ARCH="$architecture" NVCC="$NVCC" BUILD="$build" BUNDLE="$BUNDLE" \
    build "$build/tests" "$build/bench"; then
    step tests "$build/tests" '-tce=ptxas*' -d
    sanitize memcheck
    sanitize racecheck
    for precision in fp32 bf16; do
        step "bench-$precision" "$build/bench" --device cuda --precision "$precision" --markdown "$logs/bench-$precision.md" &&
            cat "$logs/bench-$precision.log"
    done
else
    for each in tests memcheck racecheck bench-fp32 bench-bf16; do note "$each" "skipped: nothing was built" 0; done
fi

echo
echo "${device%,*}, sm_$architecture; logs in $logs"
printf '%-12s %-36s %7s\n' step result seconds
for i in "${!steps[@]}"; do printf '%-12s %-36s %7d\n' "${steps[i]}" "${results[i]}" "${times[i]}"; done
exit "$failed"
