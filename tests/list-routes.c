/* The routes of the control API, a line each: for tests/test_openapi.py. */
#include "control/private.h"

#include <stdio.h>

int main(void)
{
	const struct route *r;

	for (size_t i = 0; (r = route_at(i)); i++)
		(void)printf("%s\t%s\t%s\t%zu\t%s\n", r->method, r->path,
			r->role == ROLE_OPERATE ? "operate" : "watch", route_body_limit(r),
			r->params);
	return 0;
}
