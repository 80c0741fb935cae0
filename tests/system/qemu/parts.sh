#!/usr/bin/env bash
# What an emulated board boots of Debian 12, besides the daemons: kernel, its modules, busybox.
# parts.sh FOLDER. Packages are extracted, none is installed and none of their scripts runs, so no
# root is needed. Does nothing, fast, when FOLDER was made from the same list.
set -euo pipefail

folder=${1:?a folder}
suite=bookworm
packages=linux-image-arm64,busybox-static
made_from="$suite $packages"
[ "$(cat "$folder/made-from" 2>/dev/null || true)" != "$made_from" ] || exit 0

"$(dirname "$0")/../../../toolchain/setup.sh" mmdebstrap
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" \
    'Origin: Debian' 'Component: main' | head -n 1)
mode=unshare
[ "$(id -u)" -ne 0 ] || mode=root
rm -rf "$folder" "$folder.new"
mkdir -p "$(dirname "$folder")"
echo "holdfast: extracting Debian's kernel for boards"
mmdebstrap --quiet --variant=extract --mode="$mode" --architectures=arm64 --include="$packages" \
    "$suite" "$folder.new.tar" ${archive:+"deb $archive $suite main"} 2>"$folder.log" || {
    cat "$folder.log" >&2
    exit 1
}
mkdir "$folder.new"
tar -C "$folder.new" -xf "$folder.new.tar" --wildcards --no-same-owner \
    './boot/vmlinuz-*' './bin/busybox' './lib/modules/*/kernel/*' \
    --exclude='*/kernel/sound' --exclude='*/drivers/gpu' --exclude='*/drivers/media' \
    --exclude='*/net/ethernet' --exclude='*/net/wireless' --exclude='*/infiniband' --exclude='*/staging'
rm "$folder.new.tar" "$folder.log"
mv "$folder.new"/boot/vmlinuz-* "$folder.new/vmlinuz"
mv "$folder.new/bin/busybox" "$folder.new/busybox"
find "$folder.new/lib" -name '*.ko' -exec mv -t "$folder.new" {} +
rm -r "$folder.new/lib" "$folder.new/boot" "$folder.new/bin"
echo "$made_from" >"$folder.new/made-from"
mv "$folder.new" "$folder"
