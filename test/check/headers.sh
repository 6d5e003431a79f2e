#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers.sh INCLUDE_FOLDER: each public header compiles alone, in each language it promises, with each
# compiler that is here, without a warning.
set -u
folder=$1
failed=0

check() {
	compiler=$1
	language=$2
	header=$3
	command -v "$compiler" >/dev/null || return 0
	if ! echo "#include <$header>" | "$compiler" -x "${language%%:*}" -std="${language#*:}" \
		-I "$folder" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fsyntax-only -; then
		echo "$compiler ${language#*:}: $header does not compile" >&2
		failed=1
	fi
}

for header in $(cd "$folder" && find . -name '*.h' | sed 's|^\./||'); do
	for standard in c11 c17; do
		check gcc c:$standard "$header"
		check clang c:$standard "$header"
	done
	for standard in c++11 c++17 c++20; do
		check g++ c++:$standard "$header"
		check clang++ c++:$standard "$header"
	done
done
exit $failed
