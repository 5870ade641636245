#!/usr/bin/env bash
# stand_in.sh: plays, under their names, the tools and programs of a machine with a GPU in a dry run of `make gpu-check`
# (tests/end_to_end/gpu_check_test.cpp). RECORD is a folder for what was called.
case ${0##*/} in
    c++ | nvcc)  # headers are found in the bundle alone, and every warning is a false alarm
        out= kind=link folder=
        while (($#)); do
            case $1 in
                -o) out=$2; shift ;;
                -isystem) [[ $2 != *bundle* ]] || folder=$2; shift ;;
                -c | -E | -fsyntax-only) kind=$1 ;;
                -Werror) echo "false alarm [-Werror]" >&2; exit 1 ;;
            esac
            shift
        done
        case $kind in
            -c) : > "$out" ;;
            -E) ;;
            -fsyntax-only) for header in $(sed -nE 's/#include <(.*)>/\1/p'); do [[ -f $folder/$header ]] || exit 1; done ;;
            link) cp "$0" "$out" ;;
        esac ;;
    tests)
        [[ $TEST_DEVICES == cuda && -z ${NVIDIA_TF32_OVERRIDE+set} ]] || exit 3
        echo "[doctest] test cases:  5 |  5 passed | 0 failed | 90 skipped"
        echo "[doctest] skipped: 2 of those passed (2: no Open MPI)" ;;
    bench)
        [[ $* != *--goals* ]] || echo "large batch: not measured: out of device memory"
        while (($#)); do
            [[ $1 != --markdown ]] || echo "# Measured" > "$2"
            shift
        done ;;
    nvidia-smi) if [[ $* == *name* ]]; then echo "NVIDIA H200, 9.0"; else echo 9.0; fi ;;
    compute-sanitizer)  # one tool does not know the device, another one takes too long for one source while there is a file `slow`
        echo "$2 ${*: -1}" >> "$RECORD/sanitized"
        [[ $2 != synccheck ]] || { echo "========= Error: Device not supported."; exit 1; }
        [[ $2 != racecheck || $* != *layernorm* || ! -f $RECORD/slow ]] || sleep 60
        exec "${@:5}" ;;
    apt-get | curl | sudo) echo "${0##*/} $*" >> "$RECORD/network"; exit 1 ;;
esac
