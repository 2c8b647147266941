#!/usr/bin/env bash
# Runs oauth2min.py in Pyodide, under node, with the handler that plays the server:
#
#     .ci/pyodide/run.sh [FOLDER]
#
# FOLDER keeps what npm installs; without one a temporary folder is used and removed. Needs node
# with npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 0 ]; then
    folder=$1
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"
(cd "$folder" && npm install --no-audit --no-fund --ignore-scripts --no-package-lock \
    --loglevel=error pyodide >npm.log 2>&1) || { cat "$folder/npm.log" >&2; exit 1; }
node "$here/pyodide.mjs" "$folder/node_modules/pyodide" "$here/../.."
