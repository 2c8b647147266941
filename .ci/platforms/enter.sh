#!/usr/bin/env bash
# Runs a command in a folder that get.sh made, as if that were the whole system.
#
#     .ci/platforms/enter.sh FOLDER COMMAND...     e.g. /tmp/sid python3.14 -m unittest
#
# The command starts in the root of this project. What is mounted for it is gone with it. As root,
# or as another user where the kernel lets users have namespaces.
set -eu
folder=$1
shift
cd "$(dirname "$0")/../.."
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(--map-root-user)
exec unshare --mount "${as_root[@]}" bash -c '
    set -eu
    folder=$1
    shift
    for part in dev proc sys; do
        mount --rbind "/$part" "$folder/$part"
    done
    mount --bind . "$folder/project"
    exec env -i PATH=/usr/bin:/usr/sbin HOME=/root TERM=dumb chroot "$folder" \
        sh -c "cd /project && exec \"\$@\"" sh "$@"
' bash "$folder" "$@"
