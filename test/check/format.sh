#!/bin/sh
# SPDX-License-Identifier: MIT
#
# format.sh ROOT: clang-format would change no C and C++ file. Only version 14 is used, because others
# format some places differently.
set -u
cd "$1" || exit 2
command -v clang-format >/dev/null || {
	echo "not checked: there is no clang-format"
	exit 77
}
clang-format --version | grep -q 'version 14\.' || {
	echo "not checked: want version 14, this is $(clang-format --version)"
	exit 77
}
find bench include lib test \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.hpp' \) -exec \
	clang-format --dry-run --Werror {} +
