#!/bin/sh
# SPDX-License-Identifier: MIT
#
# exports.sh LIBRARY MAP HEADER: the library exports what the map names, the map names what the header
# declares, and nothing else.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

nm -D --defined-only "$1" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort >"$folder/library"
sed -n 's/^\t\([a-z_]*\);$/\1/p' "$2" | sort >"$folder/map"
grep -v '^#' "$3" | tr '\n' ' ' | grep -o 'DEFER_DROP_API [^;]*;' |
	sed 's/DEFER_DROP_API [^(]*[ *]\([a-z_]*\)(.*/\1/' | sort >"$folder/header"
[ -s "$folder/header" ] || exit 1
diff -u "$folder/map" "$folder/library" && diff -u "$folder/header" "$folder/map"
