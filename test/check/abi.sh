#!/bin/sh
# SPDX-License-Identifier: MIT
#
# abi.sh SHARED INCLUDE_FOLDER RECORD_FOLDER: programs that were compiled against the recorded ABI
# run with this library. libabigail compares functions, structs and variables; constants, which no
# function mentions by type, are read from the headers.
# abi.sh --renew SHARED INCLUDE_FOLDER RECORD_FOLDER: records the ABI.
set -u
call=$0
renew=false
[ "$1" != --renew ] || {
	renew=true
	shift
}
shared=$1
headers=$2
record=$3

skip() {
	echo "$1"
	exit 77
}

# Leaves out what depends on the compiler, the machine, the folder, or lib behind its headers.
dump() {
	abidw --headers-dir "$headers" --drop-private-types --exported-interfaces-only \
		--type-id-style hash --no-architecture --no-elf-needed --no-corpus-path \
		--no-comp-dir-path --no-parameter-names --no-show-locs "$shared" |
		sed "s|path='.*/lib/|path='lib/|"
}

constants() {
	find "$headers" -name '*.h' -exec cat {} + |
		sed -n 's/^#define \(DEFER_DROP_[A-Z_]* .*[^\\]\)$/\1/p
			s/^\t\(DEFER_DROP_[A-Z_]* = [^,]*\),.*/\1/p' |
		grep -v '^DEFER_DROP_\(VERSION_.*\|API\) ' | sort
}

command -v abidw >/dev/null || skip "not compared: Debian's abigail-tools are missing"
readelf -S "$shared" | grep -qF .debug_info || skip "not compared: it is built without -g"
if $renew; then
	dump >"$record/defer_drop.abi" && constants >"$record/constants"
	exit
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
dump >"$folder/defer_drop.abi" && constants >"$folder/constants" || exit 2
abidiff "$record/defer_drop.abi" "$folder/defer_drop.abi"
change=$?
diff -u "$record/constants" "$folder/constants" || change=$((change | 4))
[ $change != 0 ] || exit 0
cat <<END
The ABI is not the recorded one. Programs that were compiled before must still run, or soversion
must change. If it is meant: $call --renew $(realpath "$shared") $headers $record
END
exit 1
