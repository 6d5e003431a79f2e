#!/bin/sh
# SPDX-License-Identifier: MIT
#
# plugins.sh SOURCE: a program can load many plugins with the static library inside, and replace them again
# and again, if the library is built with -Dtls=dynamic; and none of them exports the library.
set -eu
source=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

(
	meson setup "$folder/build" "$source" -Dtests=false -Dbench=false -Dtls=dynamic
	ninja -C "$folder/build" lib/libdefer_drop.a
	libraries=$(sed -n 's/^Libs.private: //p' "$folder/build/meson-private/defer_drop.pc")
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		# shellcheck disable=SC2086 # a list of words
		cc -std=gnu11 -fPIC -shared -I "$source/include" "$source/test/hostile/plugin.c" \
			"$folder/build/lib/libdefer_drop.a" $libraries -o "$folder/$i.so"
	done
	cc -std=gnu11 -I "$source/include" "$source/test/check/plugins.c" -o "$folder/plugins" -ldl
	"$folder/plugins" "$folder"/*.so
) >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
