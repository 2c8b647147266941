#!/bin/sh
# Checks oauth2min.py against a real authorization server, oidc-provider, which npm fetches.
#
#     [PYTHON=python3.6] .ci/interop/run.sh [FOLDER] [arguments for unittest]
#
# FOLDER keeps what npm installs, so that a second run is quick; without one a temporary folder
# is used and removed. Needs node, npm and openssl; nothing listens but on the loopback.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    INTEROP_DIR=$(cd "$1" && pwd)
    shift
else
    INTEROP_DIR=$(mktemp -d)
    trap 'rm -rf "$INTEROP_DIR"' EXIT
fi
export INTEROP_DIR

cp "$here/package.json" "$INTEROP_DIR"
(cd "$INTEROP_DIR" && npm install --no-audit --no-fund --ignore-scripts --no-package-lock \
    --loglevel=error >npm.log 2>&1) || { cat "$INTEROP_DIR/npm.log" >&2; exit 1; }

# A private CA and a certificate of it, with all that VERIFY_X509_STRICT asks for (the default
# since Python 3.13).
(
    cd "$INTEROP_DIR"
    cat >openssl.cnf <<'END'
[req]
distinguished_name = dn
prompt = no
[dn]
CN = interop test
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
    openssl req -config openssl.cnf -x509 -extensions ca -newkey rsa:2048 -nodes -days 2 \
        -subj "/CN=interop test CA" -keyout ca.key -out ca.pem
    openssl req -config openssl.cnf -newkey rsa:2048 -nodes \
        -subj "/CN=localhost" -keyout server.key -out server.csr
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 2 \
        -extfile openssl.cnf -extensions server -out server.pem
) >"$INTEROP_DIR/openssl.log" 2>&1 || { cat "$INTEROP_DIR/openssl.log" >&2; exit 1; }

"${PYTHON:-python3}" -B -W error "$here/interop.py" "$@"
