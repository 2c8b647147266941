#!/usr/bin/env bash
# What the type checkers of a user make of oauth2min.py and of a program with it, each for the
# oldest Python that they still know, 3.8, and for the newest:
#
#     [PYTHON=python3.13] .ci/types/run.sh [FOLDER]
#
# FOLDER keeps what pip and npm install; without one a temporary folder is used and removed. Needs
# node with npm, and $PYTHON (python3) with venv.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
if [ $# -gt 0 ]; then
    folder=$1
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder/program" "$folder/npm"

# The file lies beside the program, in a folder that has no settings.
cp "$here/../../oauth2min.py" "$here/program.py" "$folder/program"
[ -e "$folder/new" ] || "$python" -m venv "$folder/new"
[ -e "$folder/old" ] || "$python" -m venv "$folder/old"
"$folder/new/bin/pip" -q install mypy
"$folder/old/bin/pip" -q install "mypy<1.15"  # the last that knows Python 3.8
(cd "$folder/npm" && npm install --no-audit --no-fund --ignore-scripts --no-package-lock \
    --loglevel=error pyright >npm.log 2>&1) || { cat "$folder/npm/npm.log" >&2; exit 1; }

cd "$folder/program"
failed=0
check() {
    echo "$*"
    "$@" || failed=1
}
check "$folder/old/bin/mypy" --strict --config-file= --python-version 3.8 program.py oauth2min.py
check "$folder/new/bin/mypy" --strict --config-file= --python-version 3.15 program.py oauth2min.py
for version in 3.8 3.15; do
    check node "$folder/npm/node_modules/pyright/index.js" --pythonversion "$version" \
        program.py oauth2min.py
done
exit $failed
