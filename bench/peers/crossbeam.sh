#!/bin/sh
# SPDX-License-Identifier: MIT
#
# crossbeam.sh: prints the version of the crossbeam channels that Debian's packages installed, or
# fails.
# crossbeam.sh RUSTC SOURCE OUTPUT FOLDER: builds a static library from them and SOURCE; FOLDER is
# for intermediate files. It needs only rustc: no network, no lock file.
set -eu

# Prints the folder of a crate whose version begins as given; the last one if there are several.
crate() {
	found=
	for folder in /usr/share/cargo/registry/"$1"*; do
		[ ! -e "$folder/src/lib.rs" ] || found=$folder
	done
	[ -n "$found" ] && echo "$found"
}

channel=$(crate crossbeam-channel-0.5.)
utils=$(crate crossbeam-utils-0.8.)
cfg_if=$(crate cfg-if-1.)
[ $# != 0 ] || {
	echo "${channel##*-}"
	exit
}

rustc=$1
source=$2
output=$3
folder=$4
mkdir -p "$folder"

compile() {
	"$rustc" --edition 2018 -O -C panic=abort -L "dependency=$folder" "$@"
}

library() {
	compile --crate-type rlib --cap-lints allow --out-dir "$folder" "$@"
}

# Each is named by its path: the compiler may have a crate of that name for itself.
cfg_if_at=cfg_if=$folder/libcfg_if.rlib
utils_at=crossbeam_utils=$folder/libcrossbeam_utils.rlib
channel_at=crossbeam_channel=$folder/libcrossbeam_channel.rlib

library --crate-name cfg_if "$cfg_if/src/lib.rs"
library --crate-name crossbeam_utils --cfg 'feature="std"' --extern "$cfg_if_at" \
	"$utils/src/lib.rs"
library --crate-name crossbeam_channel --cfg 'feature="std"' --extern "$cfg_if_at" \
	--extern "$utils_at" "$channel/src/lib.rs"
compile --crate-name crossbeam_peer --crate-type staticlib --extern "$channel_at" -o "$output" \
	"$source"
