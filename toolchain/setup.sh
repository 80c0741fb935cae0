#!/usr/bin/env bash
# Installs the Debian packages that building and the demo need, by name; nothing else.
# Does nothing, fast, when they are all there. Asks for sudo where it is not root.
# Arguments: packages that the caller needs besides (tests, static checks, the model, fuzzing).
set -euo pipefail

packages=(
    gcc libc6-dev make pkg-config         # build
    libuv1-dev libmbedtls-dev libconfig-dev libmodbus-dev
    nanopb libnanopb-dev protobuf-compiler
    python3 openssl                       # demo and system tests
    "$@"
)

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "holdfast: installing Debian packages: ${missing[*]}"
run=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "holdfast: not root and no sudo; as root run: apt-get install ${missing[*]}" >&2
        exit 1
    }
    run=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${run[@]}" apt-get update -qq
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
