#!/usr/bin/env bash
# Sees that everything the build needs is on this machine, and installs what is missing: the Rust
# toolchain that rust-toolchain.toml names, a C++ compiler and libclang (for RocksDB), OpenSSL (for Kafka).
# Says nothing when all is there. Installs straight away as root, asks first as anybody else;
# without a terminal to ask on it says in one line what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

me=setup
. scripts/packages.sh

has_compiler() { have c++ || have g++ || have clang++; }

# The library, and the headers that clang itself brings (stddef.h): some distributions package them
# apart, and bindgen needs both.
has_libclang() {
    local file
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    if [ "$(uname)" = Darwin ]; then
        xcode-select -p >/dev/null 2>&1
        return
    fi
    for file in /usr/lib/llvm*/lib*/libclang*.so* /usr/lib/llvm/*/lib*/libclang*.so* /usr/lib/*-linux-*/libclang*.so* \
        /usr/lib64/libclang*.so* /usr/lib/libclang*.so* /usr/local/lib*/libclang*.so*; do
        case $file in *libclang-cpp*) continue ;; esac
        [ -e "$file" ] && has_clang_headers && return 0
    done
    return 1
}

has_clang_headers() {
    local header
    for header in /usr/lib/llvm*/lib*/clang/*/include/stddef.h /usr/lib/llvm/*/lib*/clang/*/include/stddef.h \
        /usr/lib*/clang/*/include/stddef.h /usr/local/lib*/clang/*/include/stddef.h; do
        [ -e "$header" ] && return 0
    done
    return 1
}

# For Kafka's TLS and SCRAM: librdkafka's build finds it by pkg-config.
has_openssl() { have pkg-config && pkg-config --exists openssl; }

system_packages() {
    local missing=() what=() list
    has_compiler || { missing+=(compiler); what+=("a C++ compiler"); }
    has_libclang || { missing+=(libclang); what+=("libclang with its headers"); }
    has_openssl || { missing+=(openssl); what+=("OpenSSL with its headers"); }
    [ ${#missing[@]} -eq 0 ] && return
    list=$(IFS=,; echo "${what[*]}" | sed 's/,/ and /g')
    if [ "$(uname)" = Darwin ]; then
        die "$list missing: run 'xcode-select --install', then again"
    fi
    install_packages "$list" "${missing[@]}" || exit 1
}

rust() {
    local wanted
    wanted=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
    [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
    if ! have cargo; then
        local how="curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
        have curl || die "Rust is missing, and curl to get it with: install Rust $wanted from https://rustup.rs, then again"
        if ! is_root && ! ask "Rust is missing. Install it for this user with rustup?"; then
            die "Rust is missing: run '$how', then again"
        fi
        echo "setup: installing Rust with rustup" >&2
        sh -c "$how --default-toolchain $wanted" >&2 || die "rustup failed; install Rust $wanted from https://rustup.rs, then again"
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    if have rustup; then
        # The version that rust-toolchain.toml pins, with rustfmt and clippy.
        rustup which rustc >/dev/null 2>&1 && return
        echo "setup: installing Rust $wanted" >&2
        rustup toolchain install "$wanted" --profile minimal --component rustfmt --component clippy >&2 ||
            die "Rust $wanted could not be installed: run 'rustup toolchain install $wanted', then again"
        return
    fi
    local there
    there=$(rustc --version | cut -d' ' -f2)
    if [ "$(printf '%s\n%s\n' "$wanted" "$there" | sort -V | head -1)" != "$wanted" ]; then
        die "Rust $there is too old: install $wanted or newer from https://rustup.rs, then again"
    fi
}

disk() {
    local dir free
    dir=$(scripts/target-dir.sh)
    [ -e "$dir/release" ] && return
    mkdir -p "$dir"
    free=$(df -Pk "$dir" | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ "$free" -lt 12 ]; then
        echo "setup: only $free GiB are free below $dir and a build takes about 10: HURTIG_TARGET_DIR=DIR builds elsewhere" >&2
    fi
}

# Clones share what is built, and cargo tells what is new by the files' times, not by where they lie: what another clone has
# built after a file here was changed would pass for this one's. So behind another clone, all of this one's files are new.
clones() {
    local by
    by=$(scripts/target-dir.sh)/built-by
    [ "$(cat "$by" 2>/dev/null)" = "$PWD" ] && return
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard | xargs -0 touch -c
    else
        find . -type f -exec touch -c {} +
    fi
    printf '%s\n' "$PWD" >"$by"
}

system_packages
rust
disk
clones
