#!/bin/sh
# SPDX-License-Identifier: MIT
#
# strace.sh PACED: a thread that pushes a drop per microsecond makes no system call in the steady state.
# Only the pushing thread is traced: under strace the worker would be too slow to be a fair partner.
set -u
command -v strace >/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# A machine that stops one of the threads for a while must prove nothing: so half of the ring is
# more than is pushed, and no silence is a quiet spell.
export DEFER_DROP_OPTIONS=queue_size=4194304,quiet_spell_ns=never
strace -o "$folder/trace" "$1" 2>"$folder/error" || { cat "$folder/error"; exit 77; }
awk '/^getppid/ { marks++; next } marks == 1 { print; calls++ }
	END { print calls + 0 " calls between the marks"; exit marks != 2 || calls > 0 }' "$folder/trace"
