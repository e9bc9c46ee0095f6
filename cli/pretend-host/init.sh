#!/bin/sh
# Process 1 of a pretended host, inside its own mount, process, network, IPC and host name namespaces. Gives libvirt private copies of its
# directories, so that the computer's own libvirtd is never touched, and keeps libvirtd and virtlogd running as systemd would.
# Usage: init.sh NAME DIRECTORY [CONTROLLER...]
# CF_MOUNTS: a shared mount, below which others appear, if set.
# CF_STORE: where the volume CF_STORE_VOLUME of the GlusterFS servers CF_STORE_SERVERS is mounted, if set. CF_STORE_SERVES=yes: this host is one of them.
set -eu
name=$1
dir=$2
shift 2
export PATH="$PATH:/usr/sbin:/sbin"

if [ -n "${CF_MOUNTS:-}" ]; then
  # What is mounted below it from outside is to be seen in here, and nothing else is.
  while read -r _ _ _ _ point _; do
    [ "$point" = "$CF_MOUNTS" ] || mount --make-private "$point" 2>/dev/null || :
  done </proc/self/mountinfo
fi
hostname "$name"
mount -t proc proc /proc
# The computer's control groups stay hidden: libvirt would make directories there, and nobody would remove them after a power cut. Given
# groups of its own, the host sees them as all there are.
umount -R -l /sys
mount -t sysfs sysfs /sys
[ $# -eq 0 ] || mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
for controller; do
  mkdir "/sys/fs/cgroup/$controller"
  mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
done
# Names of network namespaces: our copies would keep those of other hosts alive after their end.
umount -R -l /run/netns 2>/dev/null || :
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/gluster
of_gluster=
[ -z "${CF_STORE:-}" ] || of_gluster='glusterd:/var/lib/glusterd gluster-log:/var/log/glusterfs'
for pair in run:/run/libvirt lib:/var/lib/libvirt cache:/var/cache/libvirt log:/var/log/libvirt etc:/etc/libvirt $of_gluster; do
  mkdir -p "$dir/${pair%%:*}" "${pair#*:}"
  mount --bind "$dir/${pair%%:*}" "${pair#*:}"
done
# No KVM in here: where its device exists and QEMU's user may not open it, libvirt asks QEMU again, for seconds, at every call.
if [ -e /dev/kvm ]; then
  : >/run/no-kvm
  chmod 000 /run/no-kvm
  mount --bind /run/no-kvm /dev/kvm
  # QEMU's user may be root, whom only a file system that cannot be written keeps out.
  mount -o remount,bind,ro /dev/kvm
fi
# Sockets and pid files of the last boot: nobody is behind them, and libvirtd would believe them.
find "$dir/run" -mindepth 1 -delete

keep() {
  pause=$1
  shift
  while :; do
    "$@" || true
    sleep "$pause"
  done
}
mount_store() {
  # Of a client that was killed, or the computer's own at the time of this boot.
  while umount -l "$CF_STORE" 2>/dev/null; do :; done
  # Ends at once while there is no such volume yet.
  # shellcheck disable=SC2086,SC2046 # lists of words
  glusterfs -N --log-file=/var/log/glusterfs/mount.log --log-level=ERROR $(printf -- '--volfile-server=%s ' $CF_STORE_SERVERS) \
    "--volfile-id=$CF_STORE_VOLUME" "$CF_STORE"
}
keep 0.2 virtlogd &
keep 0.2 libvirtd &
[ "${CF_STORE_SERVES:-}" != yes ] || keep 0.2 glusterd -N &
[ -z "${CF_STORE:-}" ] || keep 2 mount_store &
# A shell as process 1 collects every orphan while it waits; libvirt waits for QEMU to be collected.
while :; do wait; done
