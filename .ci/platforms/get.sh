#!/usr/bin/env bash
# Puts packages of a Debian release, with all that they need, into a folder: nothing is
# installed, and nothing of this system is changed.
#
#     .ci/platforms/get.sh FOLDER RELEASE PACKAGE...     e.g. /tmp/sid sid python3.14 pypy3
#
# Needs apt-get, dpkg-deb and a mirror of Debian in the configuration of apt. It exits with 75,
# and a last line that says why, if the packages cannot be had here and now; with another status
# if something is wrong with this script.
set -eu
folder=$1 release=$2
shift 2

cannot() {
    echo "$*" >&2
    exit 75
}
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    cannot "this is no Debian, or one of its kin"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists" "$work/cache" "$folder"

# The mirror is the one that this system uses for itself.
. /etc/os-release
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
    "Release: ${VERSION_CODENAME:-}" 'Component: main' | head -n 1)
[ -n "$mirror" ] || cannot "apt knows no mirror of Debian"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || cannot "the keys of Debian's archive are not here: $keys"
echo "deb [signed-by=$keys] $mirror $release main" >"$work/sources.list"

apart() {  # apt-get, with lists and a cache of its own, which takes nothing for installed
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$work/lists" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root \
        -o APT::Install-Recommends=0 -o APT::Update::Error-Mode=any \
        -o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::http::Timeout=30 "$@"
}
apart update || cannot "Debian's mirror does not answer"
# What every Debian has, and a shell to start a command.
apart -y --download-only install base-files dash coreutils "$@" ||
    cannot "Debian's mirror does not have all of: $* ($release)"

# First, for it says that /lib is a link to usr/lib, into which others unpack.
dpkg-deb -x "$work"/cache/archives/base-files_*.deb "$folder"
for package in "$work"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$folder"
done
mkdir -p "$folder"/{dev,proc,sys,project,root,tmp}
echo "127.0.0.1 localhost" >"$folder/etc/hosts"
echo "root:x:0:0::/root:/bin/sh" >"$folder/etc/passwd"
# Its own list of authorities is made by a script of that package, which has not run.
mkdir -p "$folder/etc/ssl/certs"
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    cp /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
fi
