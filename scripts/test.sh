#!/usr/bin/env bash
# scripts/test.sh CARGO_FLAGS: format, all tests, then lints, with one set of features for all, so
# that nothing is compiled twice. Says where it is and how long each step took.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { # NAME COMMAND...
    local name=$1 start=$SECONDS
    shift
    printf '\n=== %s: %s\n' "$name" "$*"
    if ! "$@"; then
        printf '\n=== %s FAILED after %d s\n' "$name" $((SECONDS - start)) >&2
        exit 1
    fi
    printf '=== %s: ok (%d s)\n' "$name" $((SECONDS - start))
}

cargo_has() { cargo "$1" --version >/dev/null 2>&1; }

if cargo_has fmt; then
    step format cargo fmt --all --check
else
    echo "=== format: left out, rustfmt is not installed"
fi
# The binaries first: the tests that kill a running job need them. The lints last: a warning
# should not hide what the tests say.
step build cargo build "$@" --bins
step tests cargo test "$@" --no-fail-fast
if cargo_has clippy; then
    step lints cargo clippy "$@" --all-targets -- -D warnings
else
    echo "=== lints: left out, clippy is not installed"
fi
printf '\n=== all good (%d s)\n' "$SECONDS"
