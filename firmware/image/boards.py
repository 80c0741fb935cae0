"""The boards that an image is made for: what differs between them, and nothing else does."""

import dataclasses

EVERYWHERE = ("ext4", "crc32c_generic", "vfat", "nls_cp437", "nls_ascii")
VIRTUAL = ("virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net", "i6300esb")
# What is plugged in, and no device tree knows of: network adapters and their PHYs; and lights.
PLUGGED = ("smsc95xx", "lan78xx", "r8152", "ax88179_178a", "asix", "cdc_ether", "microchip", "smsc",
           "broadcom", "at803x", "ledtrig_timer")


@dataclasses.dataclass
class Board:
    target: str                 # of the daemons: build/TARGET
    boot: str                   # U-Boot's command for this kernel
    arguments: str              # of the kernel
    drivers: tuple = ()         # modules by name, besides those that its device trees ask for
    trees: str = ""             # globs of its device trees, in the parts' dtbs/
    trees_on_fat: bool = False  # also for its firmware, which completes one and hands it on
    watchdog: str = ""          # module of the watchdog, loaded first
    setup: str = "true"         # U-Boot's words before all others
    tree: str = "setenv tree ${fdt_addr}"  # and where the kernel's device tree is
    raw: dict = dataclasses.field(default_factory=dict)    # offset -> part that is written there
    fat: dict = dataclasses.field(default_factory=dict)    # name on the FAT partition -> part, or text
    beside: dict = dataclasses.field(default_factory=dict)  # name beside the image -> part


# What the Raspberry Pi's firmware reads. The header's pins are inputs with pull-downs from its first moment on, but
# for those of I2C (0-3) and the console (14, 15): an output is off until the guard has it.
PI = """# Written by make image; firmware/README.md, "Images".
enable_uart=1
upstream_kernel=1
gpio=4-13,16-27=ip,pd
gpu_mem=64
disable_splash=1
"""
PI_FIRMWARE = ("bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat")
PI_PLUGGED = PLUGGED + ("bcm2835_wdt", "leds_gpio")
PI_SETUP = "setenv ramdisk_addr_r 0x04000000"  # kernels grow


def pi_fat(config, loaders):
    fat = {name: f"raspi-firmware/{name}" for name in PI_FIRMWARE}
    fat.update({f"u-boot-{name}.bin": f"u-boot/{folder}/u-boot.bin" for name, folder in loaders.items()})
    return {**fat, "config.txt": PI + config}


ALL = {
    "qemu-arm64": Board(
        target="arm64", boot="booti", arguments="console=ttyAMA0 quiet", drivers=VIRTUAL, watchdog="i6300esb",
        beside={"u-boot.bin": "u-boot/qemu_arm64/u-boot.bin"}),
    # Its kernel has no driver of QEMU's watchdog.
    "qemu-armhf": Board(
        target="armhf", boot="bootz", arguments="console=ttyAMA0 quiet", drivers=VIRTUAL[:-1] + ("softdog",),
        watchdog="softdog", beside={"u-boot.bin": "u-boot/qemu_arm/u-boot.bin"}),
    "rpi-arm64": Board(
        target="arm64", boot="booti", arguments="console=ttyS1,115200 quiet",
        drivers=PI_PLUGGED + ("genet", "xhci_pci"), watchdog="bcm2835_wdt",
        trees="bcm2711-rpi-*.dtb bcm2837-rpi-*.dtb", trees_on_fat=True, setup=PI_SETUP,
        fat=pi_fat("arm_64bit=1\nkernel=u-boot-64.bin\n", {"64": "rpi_arm64"})),
    # Debian's kernel for it has neither the network nor the USB of a Raspberry Pi 4.
    "rpi-armhf": Board(
        target="armhf", boot="bootz", arguments="console=ttyS1,115200 quiet", drivers=PI_PLUGGED, watchdog="bcm2835_wdt",
        trees="bcm2836-rpi-*.dtb bcm2837-rpi-*.dtb", trees_on_fat=True, setup=PI_SETUP,
        fat=pi_fat("arm_64bit=0\n[pi2]\nkernel=u-boot-2.bin\n[pi3]\nkernel=u-boot-3.bin\n",
                   {"2": "rpi_2", "3": "rpi_3_32b"})),
    "beaglebone": Board(
        target="armhf", boot="bootz", arguments="console=ttyO0,115200 quiet",
        drivers=PLUGGED + ("omap_wdt", "tps65217", "leds_gpio"), watchdog="omap_wdt",
        trees="am335x-*.dtb",
        tree="if load ${devtype} ${devnum}:${part} ${fdt_addr_r} /dtbs/${fdtfile}; then true; else load ${devtype} "
             "${devnum}:${part} ${fdt_addr_r} /dtbs/am335x-boneblack.dtb; fi; setenv tree ${fdt_addr_r}",
        raw={128 << 10: "u-boot/am335x_evm/MLO", 384 << 10: "u-boot/am335x_evm/u-boot.img"}),
}
