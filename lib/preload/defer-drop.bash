# SPDX-License-Identifier: MIT
#
# Completion of defer-drop for bash.

_defer_drop() {
	local word=${COMP_WORDS[COMP_CWORD]} at
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "run --help --version" -- "$word")
		return
	fi
	[ "${COMP_WORDS[1]}" = run ] || return
	for ((at = 2; at < COMP_CWORD; at++)); do
		case ${COMP_WORDS[at]} in
		-* | =) ;;
		*)
			# A value follows a =, which is a word of its own; else the program has begun.
			[ "${COMP_WORDS[at - 1]}" = = ] || {
				_command_offset "$at"
				return
			}
			;;
		esac
	done
	case $word in
	-*)
		compopt -o nospace
		mapfile -t COMPREPLY < <(compgen -W "--defer= --file-bytes= --memory-bytes= --max-bytes= \
			--slice-bytes= --rate= --exit= --report --children=yes --children=no --helper --help" -- "$word")
		;;
	*) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
	esac
}

complete -F _defer_drop defer-drop
