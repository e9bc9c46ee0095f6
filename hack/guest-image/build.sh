#!/bin/bash
# Builds the small guest: one bootable disk (BIOS, MBR, syslinux, Debian's cloud kernel, busybox, qemu-ga) of about 22 MB that takes a NoCloud seed,
# asks DHCP, answers ping and http, has QEMU's guest agent, and ends on the power button. Prints the path of the image. Needs neither loop devices nor
# root; a network only the first time. The name carries a hash of everything that goes in: what is there already is not built again.
# Usage: hack/guest-image/build.sh [DIRECTORY]    (default .factory/guest-image)
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-$here/../../.factory/guest-image}"
out=$(cd "${1:-$here/../../.factory/guest-image}" && pwd)
# Everything in the image is dated by this, so that the same input gives the same bytes.
export SOURCE_DATE_EPOCH=1700000000 E2FSPROGS_FAKE_TIME=1700000000
sectors_mib=2048
boot_mib=24
data_mib=8
agent_mib=10
modules="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net virtio_blk
  virtio_balloon rng-core virtio-rng button evdev cdrom isofs crc16 mbcache jbd2 crc32c_generic ext4 pvpanic pvpanic-mmio virtio_console fuse virtiofs"

fail() {
  echo "Cannot build the guest image: $*" >&2
  exit 1
}
for tool in busybox:busybox-static mcopy:mtools syslinux:syslinux qemu-img:qemu-utils cpio:cpio mke2fs:e2fsprogs dpkg-deb:dpkg; do
  command -v "${tool%%:*}" >/dev/null || fail "${tool%%:*} is missing; apt-get install ${tool##*:}"
done
mbr=/usr/lib/syslinux/mbr/mbr.bin
[ -f "$mbr" ] || fail "$mbr is missing; apt-get install syslinux-common"
# A dynamic busybox would start as process 1 and find no libraries.
[ -z "$(ldd "$(command -v busybox)" 2>/dev/null | grep '=>' || true)" ] || fail "busybox is not static; apt-get install busybox-static"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What comes from packages stays what it was at the first build until the package is deleted here: a rebuild needs no network.
kept() { find "$out" -maxdepth 1 -name "$1" | sort | tail -n 1; }
fetch() { # PATTERN PACKAGE
  [ -n "$(kept "$1")" ] && return
  # apt says much that matters only if it fails.
  (cd "$work" && apt-get -q download "$2" >download.log 2>&1) || fail "apt-get download $2: $(tail -n 1 "$work/download.log")"
  # Under its name only when it is whole: another build may be looking for it at this moment.
  local file
  file=$(basename "$work"/$1)
  cp "$work/$file" "$out/.$file.$$" && mv "$out/.$file.$$" "$out/$file"
}
if [ -z "$(kept 'linux-image-*.deb')" ]; then
  name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
  [ -n "$name" ] || fail "apt knows no linux-image-cloud-amd64; run apt-get update (Debian only)"
  fetch 'linux-image-*.deb' "$name"
fi
fetch 'qemu-guest-agent_*.deb' qemu-guest-agent
package=$(kept 'linux-image-*.deb')
agent_package=$(kept 'qemu-guest-agent_*.deb')

# The agent with the libraries of this computer, which QEMU itself needs here.
mkdir -p "$work/agent"
dpkg-deb -x "$agent_package" "$work/agent-package"
cp "$work/agent-package/usr/sbin/qemu-ga" "$work/agent/"
libraries=$(ldd "$work/agent/qemu-ga" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p')
missing=$(ldd "$work/agent/qemu-ga" | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p')
[ -z "$missing" ] || fail "qemu-ga needs" $missing"; apt-get install --no-install-recommends qemu-guest-agent"
for library in $libraries; do cp -L "$library" "$work/agent/"; done

key=$(cat "$here"/build.sh "$here"/syslinux.cfg "$here"/root/* "$package" "$agent_package" "$work"/agent/*.so* "$(command -v busybox)" "$(command -v syslinux)" "$mbr" | sha256sum | cut -c1-16)
image="$out/guest-$key.qcow2"
if [ -f "$image" ]; then
  echo "$image"
  exit 0
fi

dpkg-deb -x "$package" "$work/kernel"
root="$work/root"
mkdir -p "$root"/{bin,sbin,dev,proc,sys,run,seed,data,agent,www,etc/acpi/PWRF,lib/modules,var/log}
ln -s ../run "$root/var/run" # acpid wants a place for its pid file
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list | grep -vx busybox); do ln -s busybox "$root/bin/$applet"; done
for module in $modules; do
  file=$(find "$work/kernel/lib/modules" -name "$module.ko" | head -n 1)
  if [ -n "$file" ]; then
    cp "$file" "$root/lib/modules/"
    echo "$module" >>"$root/lib/modules/order"
  else
    # Part of the kernel itself, or the guest would not find its disk.
    grep -q "/$module.ko$" "$work"/kernel/lib/modules/*/modules.builtin || fail "the kernel package has no module $module"
  fi
done
install -m 755 "$here/root/init" "$root/init"
install -m 644 "$here/root/os-release" "$root/etc/os-release"
install -m 755 "$here/root/udhcpc.script" "$root/etc/udhcpc.script"
install -m 755 "$here/root/power-button" "$root/etc/acpi/PWRF/00000080"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$root" && find . -print0 | sort -z | cpio --null -o -H newc --quiet --reproducible -R 0:0) | gzip -9n >"$work/initrd"
cp "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz"
cp "$here/syslinux.cfg" "$work/syslinux.cfg"
touch -d "@$SOURCE_DATE_EPOCH" "$work/vmlinuz" "$work/initrd" "$work/syslinux.cfg"

# Partition 1: FAT16 with the boot loader. mtools and syslinux work on the file; nothing is mounted.
truncate -s "${boot_mib}M" "$work/boot"
mformat -i "$work/boot" -N 0c0ffee0 -T $((boot_mib * sectors_mib)) -h 16 -s 63 -H $sectors_mib ::
mcopy -m -i "$work/boot" "$work/vmlinuz" "$work/initrd" "$work/syslinux.cfg" ::
syslinux --install "$work/boot"
# Partition 2: ext4, empty, for what the guest keeps over a restart.
truncate -s "${data_mib}M" "$work/data"
mke2fs -q -t ext4 -O ^metadata_csum,^64bit -E hash_seed=00000000-0000-4000-8000-000000000001,root_owner=0:0 \
  -U 00000000-0000-4000-8000-000000000002 -L data "$work/data"

# Partition 3: ext4, never written: the agent.
find "$work/agent" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
truncate -s "${agent_mib}M" "$work/agent-disk"
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum,^64bit -m 0 -E hash_seed=00000000-0000-4000-8000-000000000003,root_owner=0:0 \
  -U 00000000-0000-4000-8000-000000000004 -L agent -d "$work/agent" "$work/agent-disk"

# The partition table: three entries of 16 bytes at 446 (flag, CHS, type, CHS, first sector, sectors; CHS "use LBA").
little_endian() { printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
entry() { # FLAG TYPE FIRST_SECTOR SECTORS
  printf '%b' "\\x$1\\xfe\\xff\\xff\\x$2\\xfe\\xff\\xff$(little_endian "$3")$(little_endian "$4")"
}
disk="$work/disk"
truncate -s "$((1 + boot_mib + data_mib + agent_mib))M" "$disk"
dd if="$mbr" of="$disk" bs=440 count=1 conv=notrunc status=none
{
  entry 80 0e $sectors_mib $((boot_mib * sectors_mib))
  entry 00 83 $(((1 + boot_mib) * sectors_mib)) $((data_mib * sectors_mib))
  entry 00 83 $(((1 + boot_mib + data_mib) * sectors_mib)) $((agent_mib * sectors_mib))
} | dd of="$disk" bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
dd if="$work/boot" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$work/data" of="$disk" bs=1M seek=$((1 + boot_mib)) conv=notrunc,sparse status=none
dd if="$work/agent-disk" of="$disk" bs=1M seek=$((1 + boot_mib + data_mib)) conv=notrunc,sparse status=none

qemu-img convert -f raw -O qcow2 -c "$disk" "$work/image"
chmod 644 "$work/image"
# As above.
cp "$work/image" "$image.$$" && mv "$image.$$" "$image"
echo "$image"
