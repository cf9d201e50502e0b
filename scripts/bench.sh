#!/usr/bin/env bash
# scripts/bench.sh BIN_DIR DIR SECONDS: every job of the comparison with Flink, twice: the ten
# million readings once for the right answers, then repeated for SECONDS of steady state. Fails if
# any answer is wrong, after all have run.
set -euo pipefail
bin=$1
dir=$2
seconds=$3
parallelism=${PARALLELISM:-2}
input=$dir/p2-10m
mkdir -p "$dir"

# Flink was measured on two cores: of a larger machine no more are used.
on_two_cores=()
if [ "$(nproc)" -gt 2 ] && command -v taskset >/dev/null; then
    on_two_cores=(taskset -c 0,1)
fi

if [ ! -e "$input/done" ]; then
    echo "== writing 10,000,000 readings of 100,000 meters to $input"
    "$bin/gen_peer" "$input" 10000000 100000 2
    touch "$input/done"
fi

failed=()
run() { # NAME COMMAND...
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    "${on_two_cores[@]}" "$@" || failed+=("$name")
}
for job in passthrough talk tumble generator_tumble dedup; do
    for backend in ${BACKENDS:-rocksdb}; do
        for form in "--rounds 1" "--seconds $seconds"; do
            # shellcheck disable=SC2086
            run "$job $backend $form" "$bin/bench" "$job" --input "$input" --parallelism "$parallelism" \
                --backend "$backend" $form --data-dir "$dir/data" --output "$dir/out"
        done
    done
done
run state_size "$bin/state_size" --data-dir "$dir/data"
rm -rf "$dir/data" "$dir/out"
if [ ${#failed[@]} -gt 0 ]; then
    printf '\n%d runs do not count:\n' ${#failed[@]} >&2
    printf '  %s\n' "${failed[@]}" >&2
    exit 1
fi
