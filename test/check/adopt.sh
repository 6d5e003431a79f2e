#!/bin/sh
# SPDX-License-Identifier: MIT
#
# adopt.sh SOURCE EXAMPLE: a project can use the library as a Meson subproject, with options, and as an
# installed package through pkg-config, shared and static.
set -eu
source=$1
example=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

mkdir -p "$folder/user/subprojects"
ln -s "$source" "$folder/user/subprojects/defer_drop"
cp "$example" "$folder/user/main.c"
cat >"$folder/user/meson.build" <<END
project('user', 'c')
executable('main', 'main.c', dependencies: dependency('defer_drop', fallback: 'defer_drop'))
END
(
	cd "$folder/user"
	# Not from our own .build, which the link would show it.
	meson setup "$folder/build" -Ddefer_drop:tests=false -Ddefer_drop:bench=false \
		-Ddefer_drop:queue_size=64
	ninja -C "$folder/build"
	"$folder/build/main"
) >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }

# refuses REASON ARGUMENTS...: what cannot be built stops at configure time with what is accepted.
refuses() {
	reason=$1
	shift
	if meson setup "$folder/wrong" "$source" -Dtests=false -Dbench=false "$@" >"$folder/log" 2>&1 ||
		! grep -qF "$reason" "$folder/log"; then
		cat "$folder/log"
		exit 1
	fi
}
refuses 'queue_size=100: want a power of two in 2..16777216' -Dqueue_size=100

prefix=$folder/prefix
(
	meson setup "$folder/install" "$source" -Dtests=false -Dbench=false -Dprefix="$prefix" \
		-Dlibdir=lib
	ninja -C "$folder/install" install
) >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
(cd "$source/include" && find . -type f | sort) >"$folder/headers"
(cd "$prefix/include" && find . -type f | sort) | diff -u "$folder/headers" -
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
# shellcheck disable=SC2046 # lists of words
cc "$example" $(pkg-config --cflags --libs defer_drop) -o "$folder/shared"
LD_LIBRARY_PATH=$prefix/lib "$folder/shared"
# shellcheck disable=SC2046
cc "$example" $(pkg-config --cflags defer_drop) "$prefix/lib/libdefer_drop.a" \
	$(pkg-config --static --libs-only-l defer_drop | sed 's/-ldefer_drop//') -o "$folder/static"
"$folder/static"
