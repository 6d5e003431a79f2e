#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers.sh INCLUDE_FOLDER: each public header compiles alone, in each language it promises, with each
# compiler that is here, without a warning. One that is about another library is left out where that
# is not installed.
set -u
folder=$1
failed=0

# The pkg-config name of the library that a header is about.
package_of() {
	case $1 in
	defer_drop/glib.h) echo glib-2.0 ;;
	defer_drop/uv.h) echo libuv ;;
	esac
}

# What that library's own header needs.
options_of() {
	pkg-config --cflags "$1" | sed 's/-I/-isystem /g'
	[ "$1" != libuv ] || echo -D_GNU_SOURCE
}

check() {
	compiler=$1
	language=$2
	header=$3
	command -v "$compiler" >/dev/null || return 0
	# shellcheck disable=SC2086 # a list of options
	if ! echo "#include <$header>" | "$compiler" -x "${language%%:*}" -std="${language#*:}" \
		-I "$folder" $others -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror \
		-fsyntax-only -; then
		echo "$compiler ${language#*:}: $header does not compile" >&2
		failed=1
	fi
}

for header in $(cd "$folder" && find . -name '*.h' -o -name '*.hpp' | sed 's|^\./||'); do
	package=$(package_of "$header")
	others=
	if [ -n "$package" ]; then
		pkg-config --exists "$package" || continue
		others=$(options_of "$package")
	fi
	for standard in c11 c17; do
		[ "${header%.hpp}" = "$header" ] || break
		check gcc c:$standard "$header"
		check clang c:$standard "$header"
	done
	for standard in c++11 c++17 c++20; do
		[ "${header%.hpp}" = "$header" ] || [ $standard != c++11 ] || continue
		check g++ c++:$standard "$header"
		check clang++ c++:$standard "$header"
	done
done
exit $failed
