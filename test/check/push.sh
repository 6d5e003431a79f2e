#!/bin/sh
# SPDX-License-Identifier: MIT
#
# push.sh LIBRARY: the fast path of defer_drop has at most 25 instructions, no locked one and no call.
# Counted from the function's entry to its first return: rare code lies behind that.
set -u
[ "$(uname -m)" = x86_64 ] || exit 77
path=$(objdump -d --no-show-raw-insn "$1" |
	awk '/<defer_drop>:$/ { on = 1; next } on { print } on && /\tret/ { exit }')
count=$(echo "$path" | grep -c :)
echo "$path"
echo "$count instructions"
[ "$count" -gt 5 ] && [ "$count" -le 25 ] && ! echo "$path" | grep -qE '\<(lock|call|mfence|xchg)'
