# shellcheck shell=bash
# bash completion for hsup: source it, or install it as /usr/share/bash-completion/completions/hsup.
# The words come from the program itself, names of dynos from the hsup that runs; where it offers none,
# file names are completed.
_hsup() {
	local word
	COMPREPLY=()
	while IFS=$'\t' read -r word _; do
		COMPREPLY+=("$word")
	done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	# "web=" wants a number right behind it.
	if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then
		compopt -o nospace 2>/dev/null
	fi
}
complete -o default -F _hsup hsup
