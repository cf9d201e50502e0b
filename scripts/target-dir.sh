#!/bin/sh
# Prints the directory that everything is built in: $CARGO_TARGET_DIR or $HURTIG_TARGET_DIR if set,
# else ~/.cache/hurtig/target, so that a second clone finds the compiled dependencies of the first;
# ./target where that cannot be written.
dir=${CARGO_TARGET_DIR:-${HURTIG_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hurtig/target}}
if mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ]; then
    echo "$dir"
else
    echo "$(cd "$(dirname "$0")/.." && pwd)/target"
fi
