#!/bin/sh
# Process 1 of a pretended Gluster server, in mount, process and network namespaces of its own. Usage: glusterd.sh DIRECTORY
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
dir=$1
mount -t tmpfs tmpfs /run
mkdir -p /run/gluster /var/lib/glusterd /var/log/glusterfs
mount --bind "$dir/lib" /var/lib/glusterd
mount --bind "$dir/log" /var/log/glusterfs
cat >"$dir/glusterd.vol" <<END
volume management
    type mgmt/glusterd
    option working-directory /var/lib/glusterd
    option transport-type socket
    option transport.address-family inet
    option transport.socket.keepalive-time 10
    option transport.socket.keepalive-interval 2
    option transport.tcp-user-timeout 0
    option ping-timeout 0
end-volume
END
# Geo-replication asks Python a dozen things at each start; a program without its interpreter counts as not installed.
printf '#!/not/installed\n' >"$dir/none"
chmod 755 "$dir/none"
for program in /usr/lib/*/glusterfs/gsyncd /usr/libexec/glusterfs/gsyncd; do
  [ ! -e "$program" ] || mount --bind "$dir/none" "$program"
done
glusterd -N -f "$dir/glusterd.vol" -p /run/gluster/glusterd.pid -l "$dir/log/glusterd.log" &
# A shell as process 1 collects bricks that were killed: for Gluster one that is not collected still runs.
wait "$!"
