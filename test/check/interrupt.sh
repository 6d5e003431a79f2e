#!/bin/sh
# SPDX-License-Identifier: MIT
#
# interrupt.sh WAITS: while the worker is awake no thread interrupts other CPUs by membarrier(2), whether
# rings are full or threads wait for drops. The one call that remains closes the queue at exit.
set -u
command -v strace >/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset DEFER_DROP_OPTIONS
strace -f -e trace=membarrier -o "$folder/trace" "$1" 2>"$folder/error"
result=$?
grep -q membarrier "$folder/trace" || { cat "$folder/error"; exit 77; }
awk '/membarrier\(MEMBARRIER_CMD_PRIVATE_EXPEDITED,/ { calls++ }
	END { print calls + 0 " membarriers"; exit calls > 1 }' "$folder/trace" && exit $result
