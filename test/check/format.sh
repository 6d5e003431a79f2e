#!/bin/sh
# SPDX-License-Identifier: MIT
#
# format.sh ROOT: all C and C++ is as clang-format leaves it. Only version 14 is asked, because others
# decide otherwise in places.
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
