#!/bin/sh
# SPDX-License-Identifier: MIT
#
# expect.sh STATUS WORDS COMMAND...: runs the command, and fails unless it ends with this status and prints these
# words; with the status 0, unless it prints nothing, or "anything" is allowed. Status 77, skipped, where the tool
# is refused.

set -u
status=$1
words=$2
shift 2
output=$("$@" 2>&1)
got=$?
case $output in
*'unexpected memory mapping'* | *'personality'*'not permitted'*)
	printf '%s\n' "$output"
	exit 77
	;;
esac
if [ "$got" = "$status" ]; then
	case $words,$output in
	anything,* | ,) ;;
	,*) got="0, not silent" ;;
	*,*"$words"*) ;;
	*) got="$got, without the words" ;;
	esac
fi
[ "$got" = "$status" ] && exit 0
printf '%s\n' "$output"
echo "want status $status and the words \"$words\", got $got"
exit 1
