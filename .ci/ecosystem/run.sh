#!/bin/sh
# Runs the programs of README.md that need other libraries, with the newest of each, and the
# examples that need the servers of others.
#
#     [PYTHON=python3.13] .ci/ecosystem/run.sh [FOLDER] [arguments for unittest]
#
# FOLDER keeps what pip and npm install, so that a second run is quick; without one a temporary
# folder is used and removed. Needs a Python that the libraries support, node, npm and openssl;
# nothing listens but on the loopback.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    ECOSYSTEM_DIR=$(cd "$1" && pwd)
    shift
else
    ECOSYSTEM_DIR=$(mktemp -d)
    trap 'rm -rf "$ECOSYSTEM_DIR"' EXIT
fi
export ECOSYSTEM_DIR

quietly() {  # COMMAND...: its output is only shown if it fails
    "$@" >"$ECOSYSTEM_DIR/log" 2>&1 || { cat "$ECOSYSTEM_DIR/log" >&2; exit 1; }
}

quietly "${PYTHON:-python3}" -m venv "$ECOSYSTEM_DIR/python"
quietly "$ECOSYSTEM_DIR/python/bin/pip" install --upgrade --disable-pip-version-check \
    -r "$here/requirements.txt"
cp "$here/package.json" "$ECOSYSTEM_DIR"
(cd "$ECOSYSTEM_DIR" && quietly npm install --no-audit --no-fund --ignore-scripts \
    --no-package-lock --loglevel=error)

"$ECOSYSTEM_DIR/python/bin/python" -B "$here/measure.py" "$@"
