#!/usr/bin/env bash
# scripts/demo.sh HURTIG DIR: replays the real meters, then a generated fleet, then asks.
set -euo pipefail
cd "$(dirname "$0")/.."
hurtig=$1
dir=$2

say() { printf '\n== %s\n' "$*"; }
run() { # shown so that it can be copied
    local argument shown=
    for argument in "$@"; do
        case $argument in *' '*) argument="\"$argument\"" ;; esac
        shown+=" $argument"
    done
    printf '$ hurtig%s\n' "$shown"
    "$hurtig" "$@"
}

scripts/demo-dir.sh fresh "$dir"

say "seven real meters, 163,271 readings from 2012 to 2022, as fast as they can be read"
run run smart-meters --source file:tests/data/meters --bounded --data-dir "$dir/meters"

say "a generated fleet: 100,000 meters, one day of readings every 15 minutes, with the faults of a real one"
run run smart-meters --source generator --meters 100000 --duration 1d --bounded --data-dir "$dir/fleet"

say "energy per real meter and month"
months="SELECT meter_id, date_trunc('month', time) AS month, sum(value) AS kwh
  FROM readings WHERE unit = 'kWh' GROUP BY 1, 2 ORDER BY 1, 2"
printf '$ hurtig query --data-dir %s/meters "%s"\n' "$dir" "$months"
# Whole output first: a reader that stops early (head) must not end the query with an error.
answer=$("$hurtig" query --data-dir "$dir/meters" "$months")
head -16 <<<"$answer"
printf '… %d lines in all\n' "$(wc -l <<<"$answer")"

say "what could not be used, in the fleet"
run query --data-dir "$dir/fleet" "SELECT reason, count(*) AS letters FROM dead_letters GROUP BY 1 ORDER BY 2 DESC LIMIT 8"

if [ -t 1 ]; then
    cat <<END

== and now
Everything is below $dir. With
  PATH=$(dirname "$hurtig"):\$PATH
in your shell, try:
  hurtig run smart-meters --meters 1000 --rate 20000 --data-dir $dir/live
      a fleet without end; open http://127.0.0.1:8082 for what the meters say, and in another shell
  hurtig jobs
  kill -9 \$(grep -o '"pid": *[0-9]*' $dir/live/rest.json | grep -o '[0-9]*\$')
      kills it; the same command with --from latest goes on as if nothing had happened
  hurtig query --data-dir $dir/live "SELECT count(*), max(time) FROM readings"
docs/getting-started.md goes on from here.
END
fi
