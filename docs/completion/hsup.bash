# shellcheck shell=bash
# bash completion for hsup: source it, or install it as /usr/share/bash-completion/completions/hsup.
# The words come from the program itself; where it offers none, file names are completed.
_hsup() {
	local word
	COMPREPLY=()
	while IFS=$'\t' read -r word _; do
		COMPREPLY+=("$word")
	done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _hsup hsup
