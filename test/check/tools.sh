#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tools.sh ROOT help|missing|place: what the tools do around their work. help: they explain themselves, and neither
# install nor build anything. missing: a package that is missing is answered with the line to type. place: they work
# from a symbolic link, with clang, after an interruption, and in a checkout that cannot be written to.
set -eu
root=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"

fail() {
	cat "$folder/log"
	echo "$1"
	exit 1
}

# Stands in for a command that must not be called.
forbid() {
	for name; do
		printf '#!/bin/sh\necho "%s was called" >&2\nexit 1\n' "$name" >"$folder/bin/$name"
		chmod +x "$folder/bin/$name"
	done
}

# A copy, since what the tools build in a checkout is the checkout's.
copy() {
	"$root/tools/copy.sh" "$root" "$folder/copy"
}

# Runs the demo for a moment.
demo() {
	"$@" --rounds 1 --nodes 1000 --strings 1000 >"$folder/log" 2>&1 || fail "$*"
	grep -q 'defer_drop' "$folder/log" || fail "$*: no result"
}

help() {
	copy
	forbid apt-get sudo meson ninja
	for tool in "$folder"/copy/tools/*; do
		[ "${tool%.*}" = "$tool" ] || continue
		for option in -h --help; do
			PATH=$folder/bin:$PATH "$tool" $option >"$folder/log" 2>&1 || fail "$tool $option"
			grep -q "^usage: tools/${tool##*/}" "$folder/log" || fail "$tool $option"
			! grep -q 'was called' "$folder/log" || fail "$tool $option"
		done
	done
}

missing() {
	copy
	for name in dirname readlink mkdir cat ls id grep; do
		ln -s "$(command -v $name)" "$folder/bin/$name"
	done
	result=0
	PATH=$folder/bin "$(command -v sh)" "$folder/copy/tools/demo" >"$folder/log" 2>&1 || result=$?
	[ $result = 2 ] || fail "status $result, not 2"
	grep -q 'sudo apt-get install .*meson' "$folder/log" || fail "no line to type"
}

place() {
	copy
	ln -s "$folder/copy/tools/demo" "$folder/demo"
	# Interrupted while it configures, as by the terminal: it ends, and the next call begins anew.
	env --default-signal=INT setsid "$folder/demo" >"$folder/log" 2>&1 &
	while ! [ -d "$folder/copy/.build/demo/meson-private" ]; do
		kill -0 $! || fail "it ended before it was interrupted"
		sleep 0.01
	done
	kill -INT -$!
	! wait $! || fail "it was not interrupted"
	cd /
	demo "$folder/demo"
	if command -v clang >/dev/null; then
		CC=clang demo "$folder/demo"
		readelf -p .comment "$folder/copy/.build/demo/bench/demo" | grep -q clang || fail "not built by clang"
	fi
	rm -r "$folder/copy/.build"
	read_only
}

# Root may write everywhere, except where nobody may.
read_only() {
	export XDG_CACHE_HOME="$folder/cache"
	if [ "$(id -u)" != 0 ]; then
		chmod a-w "$folder/copy"
		demo "$folder/demo"
		chmod u+w "$folder/copy"
	elif unshare --mount true 2>/dev/null; then
		# shellcheck disable=SC2016 # for the other shell
		demo unshare --mount sh -ec 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; shift; exec "$@"' \
			sh "$folder/copy" "$folder/demo"
	fi
	[ ! -e "$folder/copy/.build" ]
}

"$2"
