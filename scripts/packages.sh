# Sourced by the scripts that install something, after they have set `me`: how this system's package
# manager is called, and how it is asked for what is missing. Installs straight away as root, asks
# first as anybody else; without a terminal to ask on it says in one line what to install.

die() { echo "$me: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }
has_terminal() { [ -t 0 ] && [ -t 2 ]; }

ask() { # QUESTION
    local answer
    has_terminal || return 1
    read -rp "$me: $1 [Y/n] " answer
    case $answer in [nN]*) return 1 ;; esac
}

# The system's package manager, and what the packages are called there.
packages() { # compiler | libclang | openssl | node | kafka | python | browser
    case "$manager:$1" in
        apt-get:openssl) echo libssl-dev pkg-config ;;
        dnf:openssl | yum:openssl) echo openssl-devel pkgconf-pkg-config ;;
        zypper:openssl) echo libopenssl-devel pkg-config ;;
        pacman:openssl) echo openssl pkgconf ;;
        apk:openssl) echo openssl-dev pkgconf ;;
        apt-get:compiler) echo build-essential ;;
        apt-get:libclang) echo libclang-dev ;;
        apt-get:kafka) echo default-jre-headless maven ;;
        apt-get:python) echo python3-venv ;;
        apt-get:browser) echo chromium chromium-driver fonts-inter ;;
        dnf:compiler | yum:compiler | zypper:compiler) echo gcc-c++ make ;;
        dnf:libclang | yum:libclang | zypper:libclang) echo clang-devel ;;
        dnf:browser | yum:browser) echo chromium chromedriver ;;
        dnf:kafka | yum:kafka) echo java-21-openjdk-headless maven ;;
        zypper:kafka) echo java-21-openjdk-headless maven ;;
        pacman:compiler) echo base-devel ;;
        pacman:libclang) echo clang ;;
        pacman:kafka) echo jre-openjdk-headless maven ;;
        pacman:python) echo python ;;
        pacman:browser) echo chromium ;;
        apk:compiler) echo build-base linux-headers ;;
        apk:libclang) echo clang-dev ;;
        apk:browser) echo chromium chromium-chromedriver ;;
        apk:kafka) echo openjdk21-jre-headless maven ;;
        ?*:node) echo nodejs npm ;;
        ?*:python) echo python3 ;;
        *) echo "" ;;
    esac
}

install_command() { # PACKAGE...
    case $manager in
        apt-get) echo "apt-get install -y --no-install-recommends $*" ;;
        dnf | yum) echo "$manager install -y $*" ;;
        zypper) echo "zypper --non-interactive install $*" ;;
        pacman) echo "pacman -S --noconfirm --needed $*" ;;
        apk) echo "apk add $*" ;;
    esac
}

manager=
for m in apt-get dnf yum zypper pacman apk; do
    if have "$m"; then manager=$m; break; fi
done

# Installs what is called so here. Fails with one line that says what to do.
install_packages() { # WHAT KIND...
    local what=$1 kind names="" command
    shift
    for kind in "$@"; do names+=" $(packages "$kind")"; done
    if [ -z "${names// /}" ]; then
        echo "$me: $what missing: install it with this system's package manager, then again" >&2
        return 1
    fi
    # shellcheck disable=SC2086
    command=$(install_command $names)
    if is_root; then
        echo "$me: $what missing, installing:$names" >&2
    elif have sudo && ask "$what missing. Run 'sudo $command'?"; then
        command="sudo $command"
    else
        echo "$me: $what missing: run 'sudo $command' (or the same as root), then again" >&2
        return 1
    fi
    if [ "$manager" = apt-get ]; then
        ${command%%apt-get*}apt-get update -qq >&2 || true
    fi
    if ! DEBIAN_FRONTEND=noninteractive $command >&2; then
        echo "$me: '$command' failed; install$names by hand, then again" >&2
        return 1
    fi
}
