#!/usr/bin/env bash
# Makes the certificates of the tests anew: an authority, a server of localhost and a client of it,
# good for a hundred years, and another authority that neither comes from. Nothing else trusts them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }

authority() {
    key "$1"
    openssl req -x509 -key "$1.key" -days 36500 -subj "/CN=pointstream tests, $1" -out "$1.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
}

# leaf NAME USAGE SAN
leaf() {
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1" |
        openssl x509 -req -CA ca.pem -CAkey ca.key -days 36500 -out "$1.pem" -extfile <(
            printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=%s\nsubjectAltName=%s\n' "$2" "$3"
        ) 2>/dev/null
}

authority ca
authority other-ca
leaf server serverAuth DNS:localhost,IP:127.0.0.1,IP:::1
leaf client clientAuth DNS:device
rm ca.key other-ca.key
