#!/usr/bin/env bash
# What an emulated board boots of Debian 12, besides the daemons: kernel, its modules, busybox.
# parts.sh FOLDER. Does nothing, fast, when FOLDER was made from the same list.
set -euo pipefail

folder=${1:?a folder}
packages=linux-image-arm64,busybox-static
[ "$(cat "$folder/made-from" 2>/dev/null || true)" != "$packages" ] || exit 0

rm -rf "$folder" "$folder.new"
"$(dirname "$0")/../../../toolchain/extract.sh" arm64 "$packages" "$folder.new.tar"
mkdir "$folder.new"
tar -C "$folder.new" -xf "$folder.new.tar" --wildcards --no-same-owner \
    './boot/vmlinuz-*' './bin/busybox' './lib/modules/*/kernel/*' \
    --exclude='*/kernel/sound' --exclude='*/drivers/gpu' --exclude='*/drivers/media' \
    --exclude='*/net/ethernet' --exclude='*/net/wireless' --exclude='*/infiniband' --exclude='*/staging'
rm "$folder.new.tar"
mv "$folder.new"/boot/vmlinuz-* "$folder.new/vmlinuz"
mv "$folder.new/bin/busybox" "$folder.new/busybox"
find "$folder.new/lib" -name '*.ko' -exec mv -t "$folder.new" {} +
rm -r "$folder.new/lib" "$folder.new/boot" "$folder.new/bin"
echo "$packages" >"$folder.new/made-from"
mv "$folder.new" "$folder"
