# SPDX-License-Identifier: MIT
#
# What the tools share: finding and installing packages, and building. To be sourced, with
# $tool set to the caller's name.

# The caller may have been called by a symbolic link.
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2

# Builds of a checkout that cannot be written to lie in a folder of the user's, which has links to what the
# checkout has.
if [ ! -w . ]; then
	elsewhere=${XDG_CACHE_HOME:-$HOME/.cache}/defer_drop$PWD
	mkdir -p "$elsewhere" || exit 2
	ln -sfn "$PWD"/* "$PWD"/.clang-* "$PWD"/.ci "$elsewhere"
	cd "$elsewhere" || exit 2
	echo "Building in $elsewhere" >&2
fi
log=.build/$tool.log
mkdir -p .build

# True if one of the arguments asks for help, which installs and builds nothing.
asks_for_help() {
	for argument; do
		case $argument in
		-h | --help) return 0 ;;
		esac
	done
	return 1
}

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
	debhelper) command -v dh ;;
	dpkg-dev) command -v dpkg-buildpackage ;;
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
	golang-go) command -v go ;;
	python3-dev) command -v python3-config ;;
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
	may_install || die "missing packages. Install them, then call again:
    sudo apt-get install$missing"
	say "Installing:$missing"
	# shellcheck disable=SC2086 # a list of words
	if ! { apt_get update -qq && apt_get install -qq -y --no-install-recommends $missing; } \
		>"$log" 2>&1; then
		tail -n 20 "$log" >&2
		die "could not install:$missing (see $log)"
	fi
}

# Sets a build folder up once, with the Meson arguments given; and again if it was interrupted, or if the compilers
# are others now.
configure() {
	folder=$1
	shift
	compilers="${CC-} ${CXX-}"
	[ "$(cat "$folder/compilers" 2>/dev/null)" != "$compilers" ] || return 0
	say "Configuring $folder"
	rm -rf "$folder"
	if ! meson setup "$folder" "$@" >"$log" 2>&1; then
		grep ERROR "$log" >&2 || tail -n 20 "$log" >&2
		rm -rf "$folder"
		die "could not configure $folder (see $log)"
	fi
	echo "$compilers" >"$folder/compilers"
}

# What is built: all, unless the caller sets it.
targets=

# Sets a build folder up once, with the Meson arguments given, and brings it up to date.
build() {
	configure "$@"
	folder=$1
	ninja -C "$folder" -n 2>/dev/null | grep -q Compiling && say "Building $folder"
	# shellcheck disable=SC2086 # a list of words
	{ ninja -C "$folder" $targets 2>&1 || echo FAILED: ninja; } | follow
	if grep -q FAILED: "$log"; then
		grep -A 5 -E 'error|FAILED' "$log" >&2
		die "could not build $folder (see $log)"
	fi
}
