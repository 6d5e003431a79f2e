#!/bin/sh
# SPDX-License-Identifier: MIT
#
# elsewhere.sh SOURCE: where the library cannot be used, each public header, and Meson, stop first of all
# with what is needed.
set -u
source=$1
linux='defer_drop needs Linux'
bits='defer_drop needs pointers of 64 bits'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

# refuses WORDS COMMAND...: the command fails, and its first error has these words.
refuses() {
	words=$1
	shift
	if "$@" >"$folder/log" 2>&1 || ! grep -m 1 -E 'error:|ERROR:' "$folder/log" | grep -qF "$words"; then
		cat "$folder/log"
		echo "not refused with \"$words\": $*" >&2
		failed=1
	fi
}

# headers WORDS COMPILER ARGUMENTS...
headers() {
	words=$1
	shift
	command -v "$1" >/dev/null || return 0
	for header in "$source"/include/*.h "$source"/include/defer_drop/*.h; do
		refuses "$words" "$@" -I "$source/include" -fsyntax-only "$header"
	done
}

headers "$linux" gcc -U__linux__
headers "$linux" clang --target=x86_64-apple-darwin
headers "$linux" clang --target=x86_64-unknown-freebsd
headers "$linux" clang --target=x86_64-w64-mingw32
headers "$bits" clang --target=i386-linux-gnu
headers "$bits" clang --target=armv7-linux-gnueabihf
refuses "$linux" g++ -U__linux__ -I "$source/include" -fsyntax-only -x c++ "$source/include/defer_drop.hpp"
refuses "$linux" meson setup "$folder/build" "$source" --cross-file "$source/test/cross/darwin.ini"
if [ "$(uname -m)" = x86_64 ]; then
	headers "$bits" gcc -m32
	refuses "$bits" meson setup "$folder/build" "$source" --cross-file "$source/test/cross/x86.ini"
fi
exit $failed
