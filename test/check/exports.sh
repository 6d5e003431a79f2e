#!/bin/sh
# SPDX-License-Identifier: MIT
#
# exports.sh LIBRARY MAP INCLUDE_FOLDER: the library exports what the map names, the map names what the
# headers declare, and nothing else.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

nm -D --defined-only "$1" | awk '$2 ~ /[TDR]/ { sub(/@.*/, "", $3); print $3 }' | sort >"$folder/library"
sed -n 's/^\t\([a-z_]*\);$/\1/p' "$2" | sort >"$folder/map"
find "$3" -name '*.h' -exec cat {} + | grep -v '^#' | tr '\n' ' ' | grep -o 'DEFER_DROP_API [^;]*;' |
	sed 's/[(;].*//; s/.*[ *]//' | sort >"$folder/headers"
[ -s "$folder/headers" ] || exit 1
diff -u "$folder/map" "$folder/library" && diff -u "$folder/headers" "$folder/map"
