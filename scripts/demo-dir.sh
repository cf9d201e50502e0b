#!/usr/bin/env bash
# scripts/demo-dir.sh fresh|remove DIR: makes the demo's directory anew, or removes it. A directory
# that no demo has made is left alone, whatever DEMO_DIR says: the demo leaves a mark in its own.
set -euo pipefail
command=$1
dir=$2
mark=$dir/.hurtig-demo

if [ -e "$dir" ] && [ -n "$(ls -A "$dir")" ] && [ ! -e "$mark" ]; then
    echo "demo: $dir holds something that is not the demo's and stays as it is; give another DEMO_DIR" >&2
    exit 1
fi
rm -rf "$dir"
if [ "$command" = fresh ]; then
    mkdir -p "$dir"
    echo "made by 'make demo', removed by 'make clean'" >"$mark"
fi
