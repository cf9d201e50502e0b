#!/usr/bin/env bash
# scripts/bench.sh BIN_DIR DIR SECONDS: every job of the comparison with Flink, twice: the ten
# million readings once for the right answers, then repeated for SECONDS of steady state.
set -euo pipefail
bin=$1
dir=$2
seconds=$3
parallelism=${PARALLELISM:-2}
input=$dir/p2-10m
mkdir -p "$dir"
if [ ! -e "$input/done" ]; then
    echo "== writing 10,000,000 readings of 100,000 meters to $input"
    "$bin/gen_peer" "$input" 10000000 100000 2
    touch "$input/done"
fi
for job in passthrough talk tumble generator_tumble dedup; do
    for backend in ${BACKENDS:-rocksdb}; do
        for form in "--rounds 1" "--seconds $seconds"; do
            echo
            echo "== $job $backend $form"
            # shellcheck disable=SC2086
            "$bin/bench" "$job" --input "$input" --parallelism "$parallelism" --backend "$backend" $form \
                --data-dir "$dir/data" --output "$dir/out"
        done
    done
done
echo
echo "== state_size"
"$bin/state_size" --data-dir "$dir/data"
rm -rf "$dir/data" "$dir/out"
