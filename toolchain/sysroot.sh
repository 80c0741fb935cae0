#!/usr/bin/env bash
# Headers and libraries of another architecture, as Debian 12 ships them: sysroot.sh TARGET FOLDER.
# Does nothing, fast, when FOLDER was made from the same list.
set -euo pipefail

target=${1:?arm64 or armhf}
folder=${2:?a folder}
packages=libc6-dev,libuv1-dev,libmbedtls-dev,libconfig-dev,libmodbus-dev,libnanopb-dev,libcmocka-dev

made_from="$target $packages"
[ "$(cat "$folder/made-from" 2>/dev/null || true)" != "$made_from" ] || exit 0

rm -rf "$folder" "$folder.new"
"$(dirname "$0")/extract.sh" "$target" "$packages" "$folder.new.tar"
mkdir "$folder.new"
# Devices and what is only for running are left out: an ordinary user can't make them.
tar -C "$folder.new" -xf "$folder.new.tar" --wildcards --no-same-owner \
    './usr/include' './usr/lib' './lib*' --exclude='*/locale/*' --exclude='*/gconv/*'
rm "$folder.new.tar"
echo "$made_from" >"$folder.new/made-from"
mv "$folder.new" "$folder"
