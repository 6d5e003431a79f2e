#!/bin/sh
# SPDX-License-Identifier: MIT
#
# refused.sh INCLUDE_FOLDER FOLDER: with each C++ compiler that is here, no file of FOLDER compiles, and
# the compiler's message has the words of the file's first line. The exception is control.cpp, which does
# these things right and compiles without a warning.
set -u
include=$1
folder=$2
compilers=
failed=0

compile() {
	"$@" -std=c++17 -I "$include" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -fsyntax-only
}

check() {
	compiler=$1
	file=$2
	words=$(sed -n '1s|^// ||p' "$file")
	if message=$(compile "$compiler" "$file" 2>&1); then
		echo "$compiler: $file compiles" >&2
	elif [ -z "$words" ]; then
		echo "$file: the first line has no words" >&2
	elif ! printf '%s\n' "$message" | grep -qF -- "$words"; then
		printf '%s\n' "$message" >&2
		echo "$compiler: $file: no word of: $words" >&2
	else
		return 0
	fi
	failed=1
}

for compiler in g++ clang++; do
	command -v "$compiler" >/dev/null || continue
	compilers="$compilers $compiler"
	if ! compile "$compiler" -Werror "$folder/control.cpp"; then
		echo "$compiler: $folder/control.cpp does not compile" >&2
		failed=1
	fi
	for file in "$folder"/*.cpp; do
		[ "$file" = "$folder/control.cpp" ] || check "$compiler" "$file"
	done
done
[ -n "$compilers" ] || exit 77
exit $failed
