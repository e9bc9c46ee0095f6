#!/bin/sh
# Packs what a host needs, and nothing that it would have to fetch: the executor and the monitor, the packages that they run on, and Node.
# Unpacked into a directory that is there already, with --strip-components=1, or as `computefactory`. For hosts like this machine: the
# same processor, and a C library that is not older.
# Usage: hack/host-archive.sh FILE.tar.gz
set -eu
[ $# -eq 1 ] || {
  echo "Usage: hack/host-archive.sh FILE.tar.gz" >&2
  exit 2
}
root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
node=node_modules/node/bin/node
[ -x "$root/$node" ] || {
  echo "Cannot pack $root: it has no $node. Run hack/bootstrap.sh npm first." >&2
  exit 1
}
sources='executor mesos lib/api lib/std lib/tls'
# shellcheck disable=SC2086 # a list of words
packages=$("$root/$node" "$root/hack/host-packages.ts" $sources)
# Links inside stay as they are. Under its name only when it is whole.
mkdir -p "$(dirname "$1")"
trap 'rm -f "$1.$$"' EXIT
# shellcheck disable=SC2086 # a list of words
tar --create --file "$1.$$" --use-compress-program 'gzip -1' --directory "$root" --owner=0 --group=0 --transform 's,^,computefactory/,S' \
  --exclude='*.test.ts' --exclude=testdata --exclude=testing \
  bin/factory-executor bin/factory-monitor $sources package.json node_modules/.bin/node $node $packages
mv "$1.$$" "$1"
