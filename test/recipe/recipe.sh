#!/bin/sh
# SPDX-License-Identifier: MIT
#
# recipe.sh FOLDER LIBRARY NAME: a recipe of this folder is built by the lines that its head names, against the library
# that was built, and does what it says. It has at most 40 lines, without comments, empty lines and includes.
#
# shellcheck disable=SC2317 # recipes are called by their name
set -eu
root=$(readlink -f "$1/../..")
built=$(dirname "$(readlink -f "$2")")
name=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset DEFER_DROP_OPTIONS

skip() {
	echo "$1 is not installed"
	exit 77
}

has() {
	command -v "$1" >/dev/null || skip "$1"
}

fail() {
	echo "$1"
	cat "$folder/log" 2>/dev/null || true
	exit 1
}

# As after an installation.
mkdir "$folder/pkgconfig"
sed "s|^libdir=.*|libdir=$built|
	s|^includedir=.*|includedir=$root/include|
	s|^declarations=.*|declarations=$built/../tools/defer_drop.cdef|" \
	"$built/../meson-private/defer_drop.pc" >"$folder/pkgconfig/defer_drop.pc"
export PKG_CONFIG_PATH="$folder/pkgconfig"
export LD_LIBRARY_PATH="$built"
cp -R "$root/test/recipe/." "$folder"
cd "$folder"

# check_length FILE
check_length() {
	lines=$(sed 's|/\*.*\*/||; /\/\*/,/\*\//d; /^[[:space:]]*\(\/\/\|--\|"""\)/d; /^[[:space:]]*$/d; /^#include/d' "$1" |
		wc -l)
	[ "$lines" -le 40 ] || fail "$1 has $lines lines, more than 40"
}

# build FILE: runs the line that the head of a recipe names.
build() {
	check_length "$1"
	line=$(sed -n 's/^ \*     \(cc .*\)/\1/p' "$1")
	[ -n "$line" ] || fail "the head of $1 names no line"
	eval "$line" >log 2>&1 || fail "$line"
}

# answers WORDS COMMAND...
answers() {
	wanted=$1
	shift
	"$@" >log 2>&1 || fail "$*: status $?"
	grep -q "$wanted" log || fail "$*: no $wanted"
}

on_epoll() {
	build epoll.c
	./epoll 50 >log 2>&1 &
	until grep -q port log; do
		sleep 0.01
	done
	python3 -c '
import socket, sys
for _ in range(50):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as peer:
        peer.sendall(b"hello")' "$(sed 's/port //' log)"
	wait $! || fail "the server ended with status $?"
}

on_uv() {
	pkg-config --exists libuv || skip libuv
	build uv.c
	answers 'tick 3' ./uv
}

on_glib() {
	pkg-config --exists glib-2.0 || skip GLib
	build glib.c
	answers 'destroyed by the main loop' ./glib
}

on_prefork() {
	build prefork.c
	answers '4 workers have ended, status 0' ./prefork
}

on_plugin() {
	build plugin.c
	build host.c
	answers '10 times' ./host
}

# Six times, since the end of an interpreter is a race.
on_python() {
	has python3-config
	# The interpreter that the line compiles for.
	interpreter=$(dirname "$(readlink -f "$(command -v python3-config)")")/python3
	build python.c
	for _ in 1 2 3 4 5 6; do
		answers 'the interpreter ends' "$interpreter" python.py
	done
}

on_go() {
	has go
	check_length cgo.go
	GOCACHE=$folder/cache GOFLAGS=-mod=mod HOME=$folder answers 'all is destroyed' "$(command -v go)" run cgo.go
}

on_luajit() {
	has luajit
	check_length luajit.lua
	answers 'all is destroyed' "$(command -v luajit)" luajit.lua "$(pkg-config --variable=declarations defer_drop)"
}

on_rust() {
	has cargo
	cd rust/defer_drop
	CARGO_TARGET_DIR=$folder/target cargo test --offline --quiet >"$folder/log" 2>&1 || fail "cargo test"
	grep -q '2 passed' "$folder/log" || fail "no test has passed"
}

"on_$name"
