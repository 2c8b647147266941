#!/bin/sh
# Runs the programs of README.md that need other libraries, with the newest of each.
#
#     [PYTHON=python3.13] .ci/ecosystem/run.sh [FOLDER] [arguments for unittest]
#
# FOLDER keeps what pip installs, so that a second run is quick; without one a temporary folder
# is used and removed. Needs a Python that the libraries support, and openssl.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
    shift
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

"${PYTHON:-python3}" -m venv "$folder/python"
"$folder/python/bin/pip" -q install --upgrade --disable-pip-version-check \
    -r "$here/requirements.txt" >"$folder/pip.log" 2>&1 || { cat "$folder/pip.log" >&2; exit 1; }

"$folder/python/bin/python" -B "$here/check.py" "$@"
