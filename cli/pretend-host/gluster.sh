#!/bin/sh
# Gluster's command line inside of a pretended host, which it has to be asked in. Usage: gluster.sh DIRECTORY-OF-THE-HOST ARGUMENT...
set -eu
dir=$1
shift
exec nsenter -t "$(sed 's/.*"pid":\([0-9]*\).*/\1/' "$dir/pid")" --mount --net --pid gluster "$@"
