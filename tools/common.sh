# SPDX-License-Identifier: MIT
#
# What the tools share: finding and installing packages, and building. To be sourced, with
# $tool set to the caller's name.

cd "$(dirname "$0")/.." || exit 2
log=.build/$tool.log
mkdir -p .build

die() {
	echo "$tool: $1" >&2
	exit 2
}

say() {
	echo "$1"
}

# Copies its input to the log; on a terminal it shows the progress meanwhile: [1/10] of Ninja, or
# 1/10 of Meson.
follow() {
	if [ -t 2 ]; then
		tee "$log" | awk '
			match($0, /^ *\[?[0-9]+\/[0-9]+/) {
				printf "\r  %s", substr($0, RSTART, RLENGTH); fflush()
			}
			END { printf "\r\033[K" }' >&2
	else
		cat >"$log"
	fi
}

# True if the contents of a Debian package are installed, from wherever they came.
has_package() {
	case $1 in
	abigail-tools) command -v abidw ;;
	gcc-*-linux-gnu) command -v "${1#gcc-}-gcc" ;;
	libc6-dev-arm64-cross) [ -e /usr/aarch64-linux-gnu/include/stdio.h ] ;;
	libc6-dev-riscv64-cross) [ -e /usr/riscv64-linux-gnu/include/stdio.h ] ;;
	musl-tools) command -v musl-gcc ;;
	qemu-user-static) command -v qemu-aarch64-static ;;
	libc6-dev) [ -e /usr/include/stdio.h ] || [ -e /usr/include/features.h ] ;;
	ninja-build) command -v ninja ;;
	relacy-dev) [ -e /usr/include/relacy/relacy.hpp ] ;;
	librust-*-dev) ls /usr/share/cargo/registry/"$(echo "$1" | sed 's/^librust-//;s/-dev$//')"-* ;;
	libclang-rt-dev) ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a ;;
	lib*-dev) pkg-config --exists "$(pkg_config_name "$1")" ;;
	linux-libc-dev) [ -e /usr/include/linux/futex.h ] ;;
	libjemalloc2) ls /usr/lib/*/libjemalloc.so.2 ;;
	libmimalloc2.0) ls /usr/lib/*/libmimalloc.so.2* ;;
	libtcmalloc-minimal4) ls /usr/lib/*/libtcmalloc_minimal.so.4 ;;
	gnuplot-nox) command -v gnuplot ;;
	redis-tools) command -v redis-benchmark ;;
	*) command -v "$1" ;;
	esac >/dev/null 2>&1
}

pkg_config_name() {
	case $1 in
	libcriterion-dev) echo criterion ;;
	libck-dev) echo ck ;;
	libglib2.0-dev) echo glib-2.0 ;;
	liburcu-dev) echo liburcu ;;
	libuv1-dev) echo libuv ;;
	*) echo "${1%-dev}" ;;
	esac
}

# Runs apt-get as root; fails if that is not permitted.
apt_get() {
	if [ "$(id -u)" = 0 ]; then
		DEBIAN_FRONTEND=noninteractive apt-get "$@"
	else
		sudo -n env DEBIAN_FRONTEND=noninteractive apt-get "$@"
	fi
}

may_install() {
	command -v apt-get >/dev/null || return 1
	[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

# Installs those of the packages that are missing.
need() {
	missing=
	for package; do
		has_package "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	may_install || die "missing packages:$missing (install them, then call again)"
	say "Installing:$missing"
	# shellcheck disable=SC2086 # a list of words
	if ! { apt_get update -qq && apt_get install -qq -y --no-install-recommends $missing; } \
		>"$log" 2>&1; then
		tail -n 20 "$log" >&2
		die "could not install:$missing (see $log)"
	fi
}

# Sets a build folder up once, with the Meson arguments given.
configure() {
	folder=$1
	shift
	[ ! -e "$folder/build.ninja" ] || return 0
	say "Configuring $folder"
	if ! meson setup "$folder" "$@" >"$log" 2>&1; then
		grep ERROR "$log" >&2 || tail -n 20 "$log" >&2
		rm -rf "$folder"
		die "could not configure $folder (see $log)"
	fi
}

# Sets a build folder up once, with the Meson arguments given, and brings it up to date.
build() {
	configure "$@"
	folder=$1
	ninja -C "$folder" -n 2>/dev/null | grep -q Compiling && say "Building $folder"
	{ ninja -C "$folder" 2>&1 || echo FAILED: ninja; } | follow
	if grep -q FAILED: "$log"; then
		grep -A 5 -E 'error|FAILED' "$log" >&2
		die "could not build $folder (see $log)"
	fi
}
