#!/usr/bin/env bash
# Sets up what the Makefile's targets need, and says each step. Needs root or sudo only for missing system packages.
#   setup.sh python PYTHON VENV   the virtual environment, from the hashed requirements
#   setup.sh oidc                 the OpenID provider that logins are tried against (node 20 or later)
#   setup.sh system               the tool that makes the lab's root out of distribution packages
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else echo "setup: needs root for: $* (become root, or install sudo)" >&2; exit 1
    fi
}

packages() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || { echo "setup: install ${missing[*]} first: this is no Debian or Ubuntu" >&2; exit 1; }
    echo "setup: installing system packages: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

case "${1:-}" in
python)
    python=$2 venv=$3
    command -v "$python" >/dev/null || packages python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "setup: $python is older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
    # A Debian python3 comes without the part that makes environments.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || packages python3-venv
    [ -x "$venv/bin/pip" ] || { rm -rf "$venv"; "$python" -m venv "$venv"; }
    echo "setup: Python packages (hashed) into $venv"
    "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements/development.txt
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .
    ;;
oidc)
    command -v node >/dev/null || packages nodejs
    command -v npm >/dev/null || packages npm
    if [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
        echo "setup: node is older than 20: the tests of OpenID logins are skipped"; exit 0; fi
    echo "setup: the OpenID provider (locked) into hardware-lab/oidc"
    npm ci --prefix hardware-lab/oidc --ignore-scripts --no-audit --no-fund --silent
    ;;
system)
    packages mmdebstrap debian-archive-keyring ca-certificates
    # The schema of AsyncAPI documents is on npm alone; one test fetches it, once.
    command -v npm >/dev/null || packages npm
    ;;
*)
    sed -n '2,5p' "$0" >&2; exit 2
    ;;
esac
