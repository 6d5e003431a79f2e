#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debian.sh ROOT: tools/package makes packages in which lintian finds nothing. On a Debian that debootstrap has just
# made they are installed, a program is linked with them both ways and runs, and they are removed without a trace.
set -eu
root=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for name in dpkg-buildpackage dh lintian debootstrap; do
	command -v $name >/dev/null || {
		echo "$name is not installed"
		exit 77
	}
done
[ "$(id -u)" = 0 ] || {
	echo "it takes root"
	exit 77
}

quietly() {
	"$@" >"$folder/log" 2>&1 || {
		cat "$folder/log"
		echo "failed: $*"
		exit 1
	}
}

# on_machine COMMAND...
on_machine() {
	quietly chroot "$folder/machine" env DEBIAN_FRONTEND=noninteractive "$@"
}

list() {
	(cd "$folder/machine" && find usr etc var/lib/dpkg/info | grep -v __pycache__ | sort)
}

# tools/package builds in the checkout, which others use meanwhile.
"$root/tools/copy.sh" "$root" "$folder/checkout"
quietly "$folder/checkout/tools/package" "$folder/packages"
debootstrap --variant=minbase bookworm "$folder/machine" >"$folder/log" 2>&1 || {
	tail -n 5 "$folder/log"
	echo "debootstrap cannot make a machine here"
	exit 77
}
on_machine apt-get install -y --no-install-recommends gcc libc6-dev pkg-config liburcu-dev man-db
list >"$folder/before"
mkdir "$folder/machine/packages"
cp "$folder"/packages/*.deb "$root/tools/debian/tests/link" "$folder/machine/packages"
# Documentation is left out on such a machine, unless it is asked for.
rm -f "$folder"/machine/etc/dpkg/dpkg.cfg.d/*
on_machine sh -c 'apt-get install -y --no-install-recommends /packages/*.deb'
on_machine /packages/link
names=$(chroot "$folder/machine" dpkg-query -W -f "\${Package} " "*defer-drop*")
# shellcheck disable=SC2086 # a list of words
on_machine apt-get purge -y $names
list >"$folder/after"
left=$(comm -13 "$folder/before" "$folder/after")
[ -z "$left" ] || {
	echo "left behind: $left"
	exit 1
}
echo "installed, linked, run and removed: $names"
