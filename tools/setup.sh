#!/usr/bin/env bash
# Prepares what the Makefile needs:
#
#   setup.sh venv PYTHON   a virtual environment in .venv, with this project installed
#   setup.sh compiled      the project in .compiled, with its hot path compiled
#   setup.sh can_compile   whether a C compiler and Python's headers are installed
#   setup.sh peers         the programs of other projects that the tests run; JsSIP, which
#                          is from npm, in .peers
#
# It installs Debian packages only as root, and none if REGINFO_PEERS=no; otherwise it
# names those that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

PEERS=(
    kamailio kamailio-ims-modules kamailio-presence-modules kamailio-sqlite-modules
    kamailio-tls-modules sip-tester baresip-core dnsmasq-base strace systemd chromium
)
# From npm, for the browser: pinned, and made one file of.
JSSIP=(jssip@3.13.8 esbuild@0.28.2)
COMPILER=(gcc libc6-dev python3-dev)
POLICY=/usr/sbin/policy-rc.d

say() { echo "setup: $*" >&2; }

may_install() {
    [ "${REGINFO_PEERS:-}" != no ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_install() {
    say "installing with apt-get: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=120 update || say "apt-get update failed; continuing"
    apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends "$@" >/dev/null
}

venv() {
    local python=$1
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        if ! may_install || ! apt_install python3-venv; then
            say "$python cannot make a virtual environment; please install python3-venv"
            exit 1
        fi
    fi
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "making .venv with $("$python" --version) ($python)"
        "$python" -m venv --clear .venv
    fi
    say "installing this project and its tools into .venv (pip)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
}

# Built from a copy, so that a source file that is edited meanwhile does no harm.
compiled() {
    local python=.venv/bin/python
    if ! can_compile; then
        if ! may_install || ! apt_install "${COMPILER[@]}" || ! can_compile; then
            say "cannot compile: please install a C compiler and Python's headers" \
                "(Debian: ${COMPILER[*]})"
            exit 1
        fi
    fi
    say "compiling the hot path into .compiled (mypyc; a minute)"
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    cp -r pyproject.toml setup.py README.md LICENSE src tools "$copy"
    rm -rf .compiled
    REGINFO_COMPILE=1 "$python" -m pip install --quiet \
        --disable-pip-version-check --no-deps --target .compiled "$copy"
}

can_compile() {
    .venv/bin/python - <<'END'
import pathlib, shutil, sys, sysconfig
header = pathlib.Path(sysconfig.get_paths()["include"], "Python.h")
sys.exit(not (header.exists() and shutil.which("cc")))
END
}

# A page needs JsSIP as one file; npm has its sources.
jssip() {
    local made=.peers/jssip.js mark=".peers/${JSSIP[*]}"
    [ ! -e "$made" ] || [ ! -e "$mark" ] || return 0
    command -v npm >/dev/null || return 1
    say "installing with npm into .peers: ${JSSIP[*]}"
    mkdir -p .peers
    npm install --prefix .peers --no-save --no-audit --no-fund --ignore-scripts \
        --loglevel=error "${JSSIP[@]}" >/dev/null || return 1
    .peers/node_modules/.bin/esbuild .peers/node_modules/jssip/lib/JsSIP.js --bundle \
        --format=iife --global-name=JsSIP --log-level=error --outfile="$made" || return 1
    touch "$mark"
}

# The tests start a Kamailio of their own. The package would start one more, on
# port 5060, and again at each boot.
without_services() {
    if [ ! -e "$POLICY" ]; then
        trap 'rm -f "$POLICY"' EXIT
        printf '#!/bin/sh\ncase "$*" in *kamailio*) exit 101 ;; esac\n' >"$POLICY"
        chmod 755 "$POLICY"
    fi
    "$@"
}

peers() {
    local missing=() package
    if [ "${REGINFO_PEERS:-}" = no ]; then
        say "PEERS=no: nothing is installed; tests that need other programs are skipped"
        return
    fi
    command -v dpkg-query >/dev/null || { say "not Debian: not installed: ${PEERS[*]}"; return; }
    for package in "${PEERS[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    command -v npm >/dev/null || missing+=(npm)
    install_peers "${missing[@]}"
    jssip || { say "JsSIP could not be installed (npm); tests that need it are skipped"; }
}

install_peers() {
    local missing=("$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! may_install; then
        say "not installed, because only root can: ${missing[*]}"
        say "tests that need them are skipped"
    elif ! without_services apt_install "${missing[@]}"; then
        say "could not be installed: ${missing[*]}"
        say "tests that need them are skipped"
    elif [[ " ${missing[*]} " == *" kamailio "* ]] && command -v systemctl >/dev/null; then
        systemctl disable --quiet --now kamailio.service 2>/dev/null || true
    fi
}

"$@"
