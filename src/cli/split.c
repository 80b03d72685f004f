#include "cli/split.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>

int split_words(char *line, char **ret_words, size_t max, size_t *ret_n)
{
	char *to = line, quote = '\0', *word = NULL;
	size_t n = 0;

	for (const char *at = line;; at++) {
		char c = *at;
		bool end = c == '\0' || (!quote && isspace((unsigned char)c)) ||
			   (!quote && !word && c == '#');

		if (c == '\0' && quote)
			return -EINVAL;
		if (end && word) {
			*to++ = '\0';
			word = NULL;
		}
		if (c == '\0' || (end && c == '#'))
			break;
		if (end)
			continue;
		if (!word) {
			if (n == max)
				return -E2BIG;
			word = ret_words[n++] = to;
		}
		if (quote && c == quote)
			quote = '\0';
		else if (!quote && (c == '\'' || c == '"'))
			quote = c;
		else if (c == '\\' && quote != '\'' && at[1])
			*to++ = *++at;
		else
			*to++ = c;
	}
	*ret_n = n;
	return 0;
}
