#!/usr/bin/env bash
# What boards are made of, of Debian 12, besides the daemons: parts.sh ARCHITECTURE FOLDER. Kernel, its modules
# (flat), busybox, boot loaders and device trees, and in FOLDER/root the libraries and the few other programs.
# Does nothing, fast, when FOLDER was made from the same list. No root, nothing is installed.
set -euo pipefail

architecture=${1:?arm64 or armhf}
folder=${2:?a folder}
packages=busybox-static,dropbear-bin,e2fsprogs,openntpd,libuv1,libmbedtls14,libconfig9,libmodbus5,raspi-firmware,u-boot-rpi
case $architecture in
arm64) packages=linux-image-arm64,$packages,u-boot-qemu ;;
armhf) packages=linux-image-armmp,$packages,u-boot-qemu,u-boot-omap ;;
esac
made_from="1 $packages"
[ "$(cat "$folder/made-from" 2>/dev/null || true)" != "$made_from" ] || exit 0

rm -rf "$folder" "$folder.new"
"$(dirname "$0")/../../toolchain/extract.sh" "$architecture" "$packages" "$folder.new.tar" non-free-firmware
mkdir "$folder.new"
tar -C "$folder.new" -xf "$folder.new.tar" --wildcards --no-same-owner --exclude='./usr/share' --exclude='./dev/*'
rm "$folder.new.tar"
cd "$folder.new"
# Drivers of devices that no supported board has are many times as large as all the rest.
rm -rf lib/modules/*/kernel/{sound,drivers/{gpu,media,staging,infiniband,net/wireless,scsi,iio,hid,accel}}
find lib/modules/*/kernel/drivers/net/ethernet -mindepth 1 -maxdepth 1 ! -name broadcom ! -name ti -exec rm -r {} +
mkdir dtbs root root/lib
mv boot/vmlinuz-* vmlinuz
mv bin/busybox busybox
find lib/modules -name '*.ko' -exec mv -t . {} +
cp lib/modules/*/modules.builtin modules.builtin
basename lib/modules/* >release
find usr/lib/linux-image-* \( -name 'bcm27*-rpi-*.dtb' -o -name 'bcm283[67]-rpi-*.dtb' -o -name 'am335x-bone*.dtb' \
    -o -name 'am335x-pocketbeagle.dtb' -o -name 'am335x-sancloud-*.dtb' \) -exec mv -t dtbs {} +
mv usr/lib/u-boot u-boot
mv usr/lib/raspi-firmware raspi-firmware
cp -a lib/*-linux-gnu* lib/ld-linux-* root/lib/
mkdir -p root/usr/lib && cp -a usr/lib/*-linux-gnu* root/usr/lib/
mkdir root/bin
cp -L sbin/e2fsck sbin/mke2fs usr/sbin/dropbear usr/bin/dropbearkey usr/sbin/ntpd root/bin/
find . -mindepth 1 -maxdepth 1 -type d ! -name root ! -name dtbs ! -name u-boot ! -name raspi-firmware -exec rm -rf {} +
find . -maxdepth 1 -type l -delete
rm -rf root/usr/lib/*/{gconv,perl*,engines-*,ossl-modules} root/lib/*/{security,gconv}
echo "$made_from" >made-from
cd - >/dev/null
mv "$folder.new" "$folder"
