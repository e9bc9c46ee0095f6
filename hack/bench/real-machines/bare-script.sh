#!/bin/bash
# What the executor does for one machine, as somebody would type it: no journal, no looking, no walls, nothing that could be repeated.
# Usage: bare-script.sh start|remove, in a directory that real-machines/script.ts has filled. In the environment: NETNS, URI, BRIDGE,
# MTU, ADDRESS, IMAGE, FORMAT, BYTES, DOMAIN.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C
here() { ip netns exec "$NETNS" "$@"; }

case $1 in
start)
  mkdir -p vm network
  qemu-img create -q -f qcow2 -u -b "$IMAGE" -F "$FORMAT" vm/root.qcow2 "$BYTES"
  genisoimage -quiet -input-charset utf-8 -volid cidata -joliet -rock -output vm/seed.iso seed
  here ip link add "$BRIDGE" type bridge stp_state 0 forward_delay 0
  here ip link set "$BRIDGE" addrgenmode none mtu "$MTU"
  here ip addr replace "$ADDRESS" dev "$BRIDGE"
  here ip link set "$BRIDGE" up
  here nft -f rules
  cp dhcp/* network/
  here xargs -0 -a dnsmasq.arguments dnsmasq
  virsh -q -c "$URI" "define domain.xml; start $DOMAIN" >/dev/null
  ;;
remove)
  virsh -q -c "$URI" "destroy $DOMAIN; undefine $DOMAIN" >/dev/null
  pid=$(cat network/dnsmasq.pid)
  kill "$pid"
  # It has ended when it has no command line any more, although process 1 may not have collected it.
  while { read -rd '' _ <"/proc/$pid/cmdline"; } 2>/dev/null; do sleep 0.01; done
  here nft delete table bridge computefactory
  here ip link del "$BRIDGE"
  rm -rf vm network
  ;;
esac
