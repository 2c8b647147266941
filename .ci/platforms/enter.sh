#!/usr/bin/env bash
# Runs a command in a folder that get.sh made, as if that were the whole system.
#
#     .ci/platforms/enter.sh FOLDER COMMAND...     e.g. /tmp/sid python3.14 -m unittest
#
# The command starts in the root of this project, and has no network but 127.0.0.1 and ::1. What is
# mounted for it is gone with it. As root, or as another user where the kernel lets users have
# namespaces.
set -eu
folder=$1
shift
cd "$(dirname "$0")/../.."
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(--map-root-user)
exec unshare --mount --net "${as_root[@]}" bash -c '
    set -eu
    folder=$1
    shift
    # As `ip link set lo up` does it, which not every system has: SIOCSIFFLAGS, up and running.
    python3 -c "
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack(\"16sH14x\", b\"lo\", 0x41))"
    for part in dev proc sys; do
        mount --rbind "/$part" "$folder/$part"
    done
    mount --bind . "$folder/project"
    exec env -i PATH=/usr/bin:/usr/sbin:/bin HOME=/root TERM=dumb chroot "$folder" \
        sh -c "cd /project && exec \"\$@\"" sh "$@"
' bash "$folder" "$@"
