#!/bin/sh
# SPDX-License-Identifier: MIT
#
# adopt.sh FOLDER ROUTE: a user's project of ten lines gets the library by one route, from a fresh prefix, and its
# program runs. The routes are the functions below; the projects lie in this folder.
#
# shellcheck disable=SC2317 # routes are called by their name
set -eu
began=$(date +%s)
root=$(readlink -f "$1/../..")
route=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix=$folder/prefix
project=$folder/project
unset DEFER_DROP_OPTIONS DESTDIR

# ---- What the routes share ------------------------------------------------------------------------

skip() {
	echo "$1 is not installed" >&3
	exit 77
}

has() {
	command -v "$1" >/dev/null || skip "$1"
}

# ! COMMAND would not end a script that has set -e.
fails() {
	if "$@"; then
		return 1
	fi
}

# install_into PREFIX ARGUMENTS...: as a user installs it. How fast the library is does not matter here.
install_into() {
	to=$1
	shift
	rm -rf "$folder/build"
	meson setup "$folder/build" "$root" -Dtests=false -Dbench=false -Dprefix="$to" -Dlibdir=lib \
		-Doptimization=0 "$@"
	ninja -C "$folder/build" install
}

# copy PROJECT: a project of this folder, with the program of the README.
copy() {
	mkdir -p "$project"
	[ ! -d "$root/test/adopt/$1" ] || cp -R "$root/test/adopt/$1/." "$project"
	cp "$root/test/example/first.c" "$project/user.c"
	cd "$project"
}

# A repository with what the checkout has now, for routes that clone.
publish() {
	has git
	"$root/tools/copy.sh" "$root" "$folder/published"
	git -C "$folder/published" init -q -b main
	git -C "$folder/published" add -f .
	git -C "$folder/published" -c user.name=user -c user.email=user@localhost commit -q -m all
	find "$project" -type f -exec sed -i "s|https://example.org/defer_drop.git|file://$folder/published|" {} +
}

# links PROGRAM yes|no: runs a program, which needs the shared library, or does without.
links() {
	needs=no
	! readelf -d "$1" | grep -q 'NEEDED.*libdefer_drop' || needs=yes
	[ "$needs" = "$2" ]
	LD_LIBRARY_PATH=$prefix/lib "$1"
	[ -e "$folder/times" ] || {
		echo $(($(date +%s) - began))
		times
	} >"$folder/times"
}

build_with_cmake() {
	has cmake
	cmake -S "$project" -B "$project/build" "$@"
	cmake --build "$project/build" -j 2
}

# ---- The routes ------------------------------------------------------------------------------------

cc_alone() {
	install_into "$prefix"
	copy .
	"$cc" user.c -I"$prefix/include" -L"$prefix/lib" -ldefer_drop -o user
	links ./user yes
}

# A program that links the shared library needs none of liburcu's files.
pkg_config() {
	install_into "$prefix"
	copy .
	export PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig"
	# shellcheck disable=SC2046 # lists of words
	"$cc" user.c $(pkg-config --cflags --libs defer_drop) -o user
	links ./user yes
	[ "$(pkg-config --modversion defer_drop)" = "$version" ]
	# shellcheck disable=SC2046
	"$cc" user.c $(pkg-config --cflags --libs defer_drop-static) -o user
	links ./user no
	# shellcheck disable=SC2046
	"$cc" -static user.c $(pkg-config --static --cflags --libs defer_drop) -o user
	links ./user no
	(cd "$root/include" && find . -type f | sort) >headers
	(cd "$prefix/include" && find . -type f | sort) | diff -u headers -
	for file in man/man3/defer_drop.3 man/man7/defer_drop.7 doc/defer_drop/README.md doc/defer_drop/LICENSE \
		doc/defer_drop/NEWS.md doc/defer_drop/examples/first.c doc/defer_drop/examples/recipes/epoll.c \
		doc/defer_drop/examples/projects/meson/meson.build defer_drop/defer_drop.cdef \
		defer_drop/defer_drop.supp; do
		[ -s "$prefix/share/$file" ]
	done
	ninja -C "$folder/build" uninstall
	[ -z "$(find "$prefix" -type f -o -type l)" ]
}

# default_library says what is installed; moved elsewhere, it works on.
one_library() {
	for only in static shared; do
		rm -rf "$prefix"
		install_into "$folder/first" -Ddefault_library="$only"
		mv "$folder/first" "$prefix"
		[ "$only" = shared ] || fails ls "$prefix"/lib/*.so*
		[ "$only" = static ] || fails ls "$prefix"/lib/*.a
		copy .
		export PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig"
		# shellcheck disable=SC2046
		"$cc" user.c $(pkg-config --define-variable=prefix="$prefix" --cflags --libs defer_drop) -o user
		links ./user "$([ "$only" = shared ] && echo yes || echo no)"
	done
}

meson_installed() {
	install_into "$prefix"
	copy meson
	PKG_CONFIG_PATH=$prefix/lib/pkgconfig meson setup build
	ninja -C build
	links build/user yes
	links build/user_static no
}

# As a subproject nothing but the library is configured, and default_library is that of the project.
meson_subproject() {
	copy meson
	mkdir subprojects
	ln -s "$root" subprojects/defer_drop
	for only in shared static; do
		# Outside of the project, through whose link it would be in our own tree.
		build=$folder/$only
		meson setup "$build" -Ddefault_library="$only" >"$folder/setup" || {
			cat "$folder/setup"
			exit 1
		}
		fails grep -i criterion "$folder/setup"
		ninja -C "$build"
		fails ls "$build"/subprojects/defer_drop/test "$build"/subprojects/defer_drop/bench
		links "$build/user" "$([ "$only" = shared ] && echo yes || echo no)"
		links "$build/user_static" no
	done
}

meson_wrap() {
	copy meson
	mkdir subprojects
	cp "$root/test/adopt/defer_drop.wrap" subprojects
	publish
	meson setup build
	ninja -C build
	links build/user yes
}

cmake_package() {
	install_into "$folder/first"
	mv "$folder/first" "$prefix"
	copy cmake_package
	build_with_cmake -DCMAKE_PREFIX_PATH="$prefix"
	links build/user yes
	links build/user_static no
	sed -i 's/defer_drop 0.2/defer_drop 0.1/' CMakeLists.txt
	fails cmake -S . -B older -DCMAKE_PREFIX_PATH="$prefix"
}

cmake_folder() {
	copy cmake_folder
	mkdir vendor
	ln -s "$root" vendor/defer_drop
	build_with_cmake -DBUILD_SHARED_LIBS=ON
	links build/user yes
	links build/user_static no
	rm -rf build
	build_with_cmake -DDEFER_DROP_RCU=OFF
	links build/user no
}

cmake_fetch() {
	copy cmake_fetch
	publish
	build_with_cmake
	links build/user no
}

autotools() {
	has autoreconf
	has automake
	install_into "$prefix"
	copy autotools
	autoreconf --install
	PKG_CONFIG_PATH=$prefix/lib/pkgconfig ./configure
	make
	links ./user yes
}

# All files of the library as the project's own, as they are, with the built-in sizes.
vendored() {
	copy .
	ln -s "$root/include" "$root/lib" .
	# shellcheck disable=SC2016 # Markdown's quotes
	line=$(sed -n 's/^| your own files | `cc \(.*\)` |$/\1/p' "$root/README.md")
	cp user.c first.c
	eval "$cc $line"
	mv first user
	links ./user no
	DEFER_DROP_OPTIONS=help ./user 2>built_in
	size=$(sed -n "s/^option('queue_size'.* value: \([0-9]*\),/\1/p" "$root/meson_options.txt")
	grep "queue_size.*$size" built_in
	pkg-config --exists liburcu-memb || return 0
	eval "$cc $line -DDD_HAS_RCU=1 $(pkg-config --cflags --libs liburcu-memb)"
	links ./first no
}

# What cannot be built stops at configure time and names what is accepted.
refusals() {
	refuses 'queue_size=100: want a power of two in 2..16777216' -Dqueue_size=100
	[ "$(uname -m)" != x86_64 ] || refuses 'pointers of' --cross-file "$root/test/cross/x86.ini"
}

refuses() {
	reason=$1
	shift
	fails meson setup "$folder/wrong" "$root" -Dtests=false "$@" >"$folder/setup"
	cat "$folder/setup"
	grep -F "$reason" "$folder/setup"
}

cc=${CC:-cc}
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" "$root/meson.build")
exec 3>&1
case $(type "$route") in
*function*) ;;
*)
	echo "$route: want a route of this file"
	exit 2
	;;
esac
set +e
(
	set -ex
	"$route"
) >"$folder/log" 2>&1
result=$?
[ $result = 0 ] || [ $result = 77 ] || cat "$folder/log"
# The third line of times is what the commands took, as 0m1.5s 0m0.5s.
[ ! -e "$folder/times" ] || awk -F '[ms ]+' 'NR == 1 { seconds = $1 }
	NR == 3 { printf "%d s, %.0f s of a CPU, to the first program that ran\n", seconds, $1 * 60 + $2 + $3 * 60 + $4 }' \
	"$folder/times"
exit $result
