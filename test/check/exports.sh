#!/bin/sh
# SPDX-License-Identifier: MIT
#
# exports.sh SHARED STATIC MAP INCLUDE_FOLDER: the headers declare what the map names, and both
# libraries export that and nothing else.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The name of a version is of kind A, which is left out.
exported() {
	nm --defined-only --extern-only "$@" |
		awk 'NF == 3 && $2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort
}

exported --dynamic "$1" >"$folder/shared"
exported "$2" >"$folder/static"
sed -n 's/^\t\([a-z0-9_]*\);$/\1/p' "$3" | sort >"$folder/map"
find "$4" -name '*.h' -exec cat {} + | grep -v '^#' | tr '\n' ' ' |
	grep -o 'DEFER_DROP_API [^;]*;' |
	sed 's/[(;].*//; s/.*[ *]//' | sort >"$folder/headers"
[ -s "$folder/map" ] || exit 1
failed=0
for place in headers shared static; do
	diff -u "$folder/map" "$folder/$place" || failed=1
done
exit $failed
