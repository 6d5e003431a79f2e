#!/bin/sh
# SPDX-License-Identifier: MIT
#
# scripts.sh ROOT: shellcheck finds nothing in the shell scripts.
set -u
cd "$1" || exit 2
command -v shellcheck >/dev/null || {
	echo "not checked: there is no shellcheck"
	exit 77
}
# Scripts that are run begin with #!; shellcheck reads common.sh with them (-x).
grep -rlE '^#!.*sh$' .ci bench test tools | xargs shellcheck -x
