#!/usr/bin/env bash
# Headers and libraries of another architecture, as Debian 12 ships them: sysroot.sh TARGET FOLDER.
# Packages are extracted, none is installed and none of their scripts runs, so no root is needed.
# Does nothing, fast, when FOLDER was made from the same list.
set -euo pipefail

target=${1:?arm64 or armhf}
folder=${2:?a folder}
suite=bookworm
packages=libc6-dev,libuv1-dev,libmbedtls-dev,libconfig-dev,libmodbus-dev,libnanopb-dev,libcmocka-dev

made_from="$suite $target $packages"
[ "$(cat "$folder/made-from" 2>/dev/null || true)" != "$made_from" ] || exit 0

"$(dirname "$0")/setup.sh" mmdebstrap
# The archive that this machine installs from, without its updates: one list, the same everywhere.
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" \
    'Origin: Debian' 'Component: main' | head -n 1)
mode=unshare
[ "$(id -u)" -ne 0 ] || mode=root
rm -rf "$folder" "$folder.new"
mkdir -p "$(dirname "$folder")"
echo "holdfast: extracting Debian packages for $target"
mmdebstrap --quiet --variant=extract --mode="$mode" --architectures="$target" --include="$packages" \
    "$suite" "$folder.new.tar" ${archive:+"deb $archive $suite main"} 2>"$folder.log" || {
    cat "$folder.log" >&2
    exit 1
}
mkdir "$folder.new"
# Devices and what is only for running are left out: an ordinary user can't make them.
tar -C "$folder.new" -xf "$folder.new.tar" --wildcards --no-same-owner \
    './usr/include' './usr/lib' './lib*' --exclude='*/locale/*' --exclude='*/gconv/*'
rm "$folder.new.tar" "$folder.log"
echo "$made_from" >"$folder.new/made-from"
mv "$folder.new" "$folder"
