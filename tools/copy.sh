#!/bin/sh
# SPDX-License-Identifier: MIT
#
# copy.sh CHECKOUT FOLDER: makes FOLDER a copy of what a checkout has, without what was built in it.
set -eu
mkdir -p "$2"
(cd "$1" && tar -cf - --exclude=__pycache__ include lib test bench tools .ci .clang-format .clang-tidy .editorconfig \
	.gitignore meson.build meson_options.txt README.md LICENSE) | tar -C "$2" -xf -
