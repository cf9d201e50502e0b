#!/usr/bin/env bash
# scripts/test.sh CARGO_FLAGS: format, all tests, then lints, with one set of features for all, so
# that nothing is compiled twice. Says where it is and how long each step took. With CI set, nothing
# is left out.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { # NAME COMMAND...
    local name=$1 start=$SECONDS
    shift
    printf '\n=== %s: %s\n' "$name" "$*"
    local code=0 why=
    "$@" || code=$?
    if [ $code -ne 0 ]; then
        [ "$1 $code" = "timeout 124" ] && why=": it hangs, the last test that has begun and not ended is above"
        printf '\n=== %s FAILED after %d s%s\n' "$name" $((SECONDS - start)) "$why" >&2
        exit 1
    fi
    printf '=== %s: ok (%d s)\n' "$name" $((SECONDS - start))
}

cargo_has() { cargo "$1" --version >/dev/null 2>&1; }

left_out() { # NAME TOOL
    if [ -n "${CI:-}" ]; then
        printf '\n=== %s FAILED: %s is not installed (rustup component add %s)\n' "$1" "$2" "$2" >&2
        exit 1
    fi
    echo "=== $1: left out, $2 is not installed"
}

# A test that hangs should end with words. At a terminal somebody is there to see it, and Ctrl-C
# would not get past `timeout`.
limit=()
if ! [ -t 0 ] && command -v timeout >/dev/null; then
    limit=(timeout 50m)
fi

if cargo_has fmt; then
    step format cargo fmt --all --check
else
    left_out format rustfmt
fi
# Before the long build: with CI set, one that is missing ends this here.
step servers scripts/servers.sh install
# The binaries first: the tests that kill a running job need them. The lints last: a warning
# should not hide what the tests say.
step build cargo build "$@" --bins
step "build of the tests" cargo test "$@" --no-run
# Built above, and with the same features: no test need ask cargo for it.
export HURTIG_BIN=$CARGO_TARGET_DIR/release/hurtig
# The same random histories every time; another seed looks elsewhere.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20261123}
printf '\n=== property tests with PROPTEST_RNG_SEED=%s\n' "$PROPTEST_RNG_SEED"
step tests ${limit[@]+"${limit[@]}"} scripts/servers.sh run cargo test "$@" --no-fail-fast
if cargo_has clippy; then
    step lints cargo clippy "$@" --all-targets -- -D warnings
else
    left_out lints clippy
fi
printf '\n=== all good (%d s)\n' "$SECONDS"
