#!/usr/bin/env bash
# check.sh: everything that only a machine with a GPU can tell, part by part; one table last. The environment says
#
#   MAKE, NVCC       which to use
#   BUILD            folder for what is built: in BUILD/gpu
#   BUNDLE           archive of libraries that `make gpu-bundle` packed, or nothing
#   KERNEL_TESTS     the tests' sources that compute-sanitizer runs, one after the other
#   PARTS            parts to run (all)
#   LIMIT            seconds that a part may take (600)
#   PIECE_LIMIT      seconds that a sanitizer may take for one source of tests (60)
#
# A part's result is written when the part ends, a piece's when the piece does: whatever ends this script leaves the others' results. What has
# passed since the programs were built is not run again, so that the same call continues. Exit code 0 if all parts passed or were skipped:
# what a missing tool or a tool that does not know the device skips is no failure.
set -u -o pipefail
build=$BUILD/gpu
logs=$build/check
limit=${LIMIT:-600}
piece_limit=${PIECE_LIMIT:-60}
parts="build goals bench-bf16 bench-fp32 tests memcheck racecheck synccheck"
export TEST_DEVICES=cuda  # `make test` runs the CPU's half
unset NVIDIA_TF32_OVERRIDE

fail() {
    echo "make gpu-check: $1" >&2
    exit 1
}

for part in ${PARTS:=$parts}; do
    [[ " $parts " == *" $part "* ]] || fail "no part $part, expected some of: $parts"
done
command -v nvidia-smi > /dev/null || fail "no GPU here (no nvidia-smi)"
device=$(nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader 2> /dev/null | head -n 1)
architecture=$(sed -nE 's/^.*, *([0-9]+)\.([0-9])$/\1\2/p' <<< "$device")
[[ -n $architecture ]] || fail "no GPU here (nvidia-smi lists none)"
command -v "$NVCC" > /dev/null || fail "${device%,*}, but no nvcc to build for it"
mkdir -p "$logs"

# A result is a line of text, a tab and the seconds it took.
note() { # file, result, seconds
    printf '%s\t%d\n' "$2" "$3" > "$1"
}
text_of() { # file of a result
    cut -f 1 "$1"
}
is_done() { # file of a result
    [[ -f $1 && $1 -nt $build/tests && $1 -nt $build/bench && $(text_of "$1") == passed* ]]
}
# Counts of some logs: of test cases, of which doctest counts those skipped at run time as passed, or of what could not be measured.
counts_of() { # logs...
    sed 's/\x1b\[[0-9;]*m//g' /dev/null "$@" | awk '
        /^\[doctest\] test cases:/ { gsub(/[|]/, " "); runs++; passed += $5; failed += $7 }
        /^\[doctest\] skipped:/ { skipped += $3 }
        / not measured: / { missing++ }
        END { if (missing) print ": " missing " not measured"
            if (runs) print ": " passed - skipped " passed, " failed " failed, " skipped + 0 " skipped" }'
}
# Runs a command; it and its output go to NAME.log, its result to NAME.result. What went wrong is shown by the log's end.
step() { # name, seconds, command...
    local name=$1 seconds=$2 start=$SECONDS status result
    shift 2
    if is_done "$logs/$name.result"; then
        echo "$name: passed before"
        return
    fi
    rm -f "$logs/$name.result"
    echo "$*" > "$logs/$name.log"
    timeout --kill-after=10 "$seconds" "$@" >> "$logs/$name.log" 2>&1 < /dev/null
    status=$?
    case $status in
        0) result=passed ;;
        124 | 137) result="not done within $seconds s" ;;
        *) result="failed ($status)" ;;
    esac
    # compute-sanitizer's "Device not supported", and its kin for what the driver does not allow.
    [[ $status == 0 || $name != *check/* ]] || ! grep -qiE '^=+ .*not supported' "$logs/$name.log" || result="skipped: not supported here"
    [[ $result == passed || $result == skipped* ]] || tail -n 30 "$logs/$name.log"
    result+=$(counts_of "$logs/$name.log")
    note "$logs/$name.result" "$result" $((SECONDS - start))
    echo "$name: $result"
}
# A part in pieces: the tests of some sources at a time. Its result sums those of its pieces.
pieces() { # part, seconds for a piece, command... -- sources...
    local part=$1 each=$2 start=$SECONDS command=() left
    shift 2
    while [[ $1 != -- ]]; do command+=("$1") && shift; done
    shift
    mkdir -p "$logs/$part"
    rm -f "$logs/$part.result"
    local sources=("$@") source piece text others=() results=()
    for source in "${sources[@]}"; do
        piece=${source#tests/}
        piece=${piece%/}
        piece=$part/${piece//\//-}
        left=$((limit - SECONDS + start))
        if is_done "$logs/$piece.result"; then
            :
        elif ((left <= 0)); then
            others+=("${piece#*/}: not reached within $limit s")
            continue
        else
            step "$piece" $((left < each ? left : each)) "${command[@]}" -sf="*$source*"
        fi
        results+=("$logs/$piece.log")
        text=$(text_of "$logs/$piece.result")
        [[ $text == passed* ]] || others+=("${piece#*/}: $text")
        # A tool that does not know the device knows it for no other source either.
        [[ $text == skipped* ]] && { note "$logs/$part.result" "$text" $((SECONDS - start)); return; }
    done
    local result=passed
    ((${#others[@]} == 0)) || result="failed: ${#others[@]} of ${#sources[@]} sources, the first is ${others[0]}"
    ((${#others[@]} <= 1)) || printf '%s\n' "${others[@]}"
    note "$logs/$part.result" "$result$(counts_of "${results[@]}")" $((SECONDS - start))
}
bench() { # part, arguments...
    local part=$1
    shift
    step "$part" "$limit" "$build/bench" --device cuda --markdown "$logs/$part.md" "$@"
    tail -n +2 "$logs/$part.log"
}
run_part() {
    case $1 in
        build) step build "$limit" "$MAKE" --no-print-directory -j"$(nproc)" CUDA=1 ARCH="$architecture" NVCC="$NVCC" BUILD="$build" \
            BUNDLE="${BUNDLE:+$build/bundle}" build "$build/tests" "$build/bench" ;;
        goals) bench goals --precision bf16 --goals ;;
        bench-*) bench "$1" --precision "${1#bench-}" ;;
        tests) pieces tests "$limit" "$build/tests" '-tce=ptxas*,CUDA build*,gpu-check*' -d -- tests/unit/kernels/ tests/gradient/ \
            tests/golden/ tests/unit/runtime/ tests/unit/models/ tests/unit/data/ tests/unit/sample/ tests/unit/train/ tests/end_to_end/ ;;
        *check)
            if command -v compute-sanitizer > /dev/null; then
                pieces "$1" "$piece_limit" compute-sanitizer --tool "$1" --error-exitcode 9 "$build/tests" -- $KERNEL_TESTS
            else
                note "$logs/$1.result" "skipped: no compute-sanitizer here" 0
            fi ;;
    esac
}
table() {
    local part result
    printf '%s, sm_%s; logs in %s\n%-12s %7s  %s\n' "${device%,*}" "$architecture" "$logs" part seconds result
    for part in $parts; do
        result=$'not run\t0'
        [[ ! -f $logs/$part.result ]] || result=$(< "$logs/$part.result")
        printf '%-12s %7d  %s\n' "$part" "${result#*$'\t'}" "${result%$'\t'*}"
    done
}

echo "$device"
if [[ -n ${BUNDLE:-} && $BUNDLE -nt $build/bundle ]]; then
    rm -rf "$build/bundle" && mkdir -p "$build/bundle"
    tar -xJf "$BUNDLE" -C "$build/bundle" || { rm -rf "$build/bundle"; fail "$BUNDLE cannot be unpacked"; }
fi
# Whatever the parts are, the programs are up to date.
rm -f "$logs/build.result"
run_part build
for part in $PARTS; do
    [[ $part == build ]] && continue
    if [[ $(text_of "$logs/build.result") == passed* ]]; then
        run_part "$part"
    else
        note "$logs/$part.result" "not run: nothing was built" 0
    fi
    table > "$logs/table.txt"
done

echo
table | tee "$logs/table.txt"
for part in build $PARTS; do
    [[ $(text_of "$logs/$part.result") =~ ^(passed|skipped) ]] || exit 1
done
