#!/bin/sh
# Drives a real, headless Chromium through logins with oauth2min.py: against the fake server and
# against oidc-provider.
#
#     [PYTHON=python3] [SCREENSHOTS=FOLDER] .ci/browser/run.sh [FOLDER [INTEROP [ARGUMENTS...]]]
#
# FOLDER keeps the virtual environment with selenium and gets the screenshots; without one a
# temporary folder is used and removed. INTEROP is a folder that .ci/interop/run.sh has filled;
# without one npm installs oidc-provider into FOLDER. The ARGUMENTS are for unittest. Needs
# Python 3.10, node, npm and openssl. axe-core, which finds what is a hurdle for people who cannot
# see or cannot use a mouse, comes from npm; Chromium from Debian (apt-get) where it is missing.
# Nothing listens but on the loopback.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${1:-}" ]; then
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
INTEROP_DIR=${2:-}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift

quietly() {  # shows the output only if it fails
    "$@" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
}

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    quietly $sudo apt-get update
    quietly $sudo apt-get install -y --no-install-recommends chromium chromium-driver
fi

if ! [ -x "$folder/venv/bin/python" ]; then
    quietly "${PYTHON:-python3}" -m venv "$folder/venv"
fi
quietly "$folder/venv/bin/pip" install --disable-pip-version-check selenium

if [ -n "$INTEROP_DIR" ] && [ -d "$INTEROP_DIR/node_modules/oidc-provider" ]; then
    INTEROP_DIR=$(cd "$INTEROP_DIR" && pwd)
else
    INTEROP_DIR=$folder/interop
    mkdir -p "$INTEROP_DIR"
    cp "$here/../interop/package.json" "$INTEROP_DIR"
    cd "$INTEROP_DIR"
    quietly npm install --no-audit --no-fund --ignore-scripts --no-package-lock --loglevel=error
fi

if ! [ -f "$folder/axe/node_modules/axe-core/axe.min.js" ]; then
    mkdir -p "$folder/axe"
    cd "$folder/axe"
    quietly npm install --no-audit --no-fund --ignore-scripts --no-package-lock \
        --loglevel=error axe-core
fi
AXE=$folder/axe/node_modules/axe-core/axe.min.js

# What a user sees most often: an https server that sends the browser to http on the loopback.
quietly openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=browser test" \
    -addext "subjectAltName=DNS:localhost" \
    -addext "keyUsage=critical,digitalSignature,keyCertSign" \
    -keyout "$folder/browser.key" -out "$folder/browser.pem"

export INTEROP_DIR AXE BROWSER_DIR="$folder" SCREENSHOTS="${SCREENSHOTS:-$folder}"
mkdir -p "$SCREENSHOTS"
"$folder/venv/bin/python" -B -W error "$here/browser.py" "$@" </dev/null
"$folder/venv/bin/python" -B -W error "$here/neighbour.py" </dev/null
