#!/bin/sh
# Installs what a command of the Makefile needs: `npm` the packages of the lock file, `machines` what real machines need,
# `tests` that and what the tests run against. Says in one sentence what is missing where it cannot install it. Safe to repeat.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

# apt_install WHY PACKAGE...: as root on Debian; else says what to do and returns 1.
apt_install() {
  why=$1
  shift
  if [ "$(id -u)" != 0 ] || ! have apt-get; then
    say "$why: missing $*. On Debian, as root: apt-get install $*"
    return 1
  fi
  say "Installing for $why: $*"
  log=$(mktemp)
  # A second clone may be installing at this moment: wait for its lock instead of failing.
  if ! { apt-get -q -o DPkg::Lock::Timeout=300 update && DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@"; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    say "$why: apt-get could not install $*; the lines above say why." >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

# wanted BINARY PACKAGE [BINARY PACKAGE]...: prints the packages whose binary is not there.
wanted() {
  while [ $# -gt 0 ]; do
    case $1 in
    /*) [ -e "$1" ] || printf '%s ' "$2" ;;
    *) have "$1" || printf '%s ' "$2" ;;
    esac
    shift 2
  done
}

# Debian 12's own npm runs on Node 18, and leaves out optional packages that ask for a newer one: the test runner would lack its parts.
# So there npm and Node come from the registry first.
newer_npm() {
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -lt 20 ] || return 0
  tools=$PWD/.factory/tools
  say "Installing a newer Node and npm into .factory/tools: the system's Node is $major"
  npm install --no-fund --no-audit --prefix "$tools" node@24.21.0 npm@11.19.1 >"$1" 2>&1 || return 1
  PATH=$tools/node_modules/.bin:$PATH
}

install_npm() {
  have npm || apt_install "running Compute Factory" nodejs npm || exit 1
  log=$(mktemp)
  if ! newer_npm "$log"; then
    tail -n 20 "$log" >&2
    say "npm could not install a newer Node; the lines above say why. Install Node 20 or later by hand, then run the command again." >&2
    rm -f "$log"
    exit 1
  fi
  say "Installing packages (npm ci)"
  if ! npm ci --no-fund --no-audit >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    say "npm ci failed; the lines above say why. It needs the npm registry." >&2
    rm -f "$log"
    exit 1
  fi
  rm -f "$log"
  node_modules/.bin/node -e 'if (Number(process.versions.node.split(".")[0]) < 24) process.exit(1)' || {
    say "The packages brought no Node 24: run \"npm ci\" by hand and look for errors of the package \"node\"." >&2
    exit 1
  }
  touch node_modules/.installed
}

machine_packages() {
  wanted libvirtd libvirt-daemon-system virsh libvirt-clients qemu-system-x86_64 qemu-system-x86 qemu-img qemu-utils \
    dnsmasq dnsmasq-base ip iproute2 nft nftables genisoimage genisoimage /bin/busybox busybox-static mcopy mtools \
    syslinux syslinux /usr/lib/syslinux/mbr/mbr.bin syslinux-common cpio cpio ping iputils-ping
}

install_machines() {
  packages=$(machine_packages)
  # shellcheck disable=SC2086 # a list of words
  [ -z "$packages" ] || apt_install "real machines" $packages || say "Machines will be imitated."
}

install_tests() {
  packages="$(machine_packages)$(wanted etcd etcd-server etcdctl etcd-client kubectl kubernetes-client \
    java default-jre-headless /usr/share/java/zookeeper.jar zookeeper strace strace \
    glusterd glusterfs-server glusterfs glusterfs-client)"
  [ -z "$packages" ] && return
  # shellcheck disable=SC2086 # a list of words
  apt_install "the tests" $packages && return
  if [ "${CI:-}" = true ]; then exit 1; fi
  say "Tests that need them are skipped, each with its reason."
}

case ${1:-} in
npm) install_npm ;;
machines) install_machines ;;
tests) install_tests ;;
*)
  say "Usage: hack/bootstrap.sh npm|machines|tests" >&2
  exit 2
  ;;
esac
