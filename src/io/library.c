#include "io/library.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <errno.h>

int library_open(const char *file, const struct library_symbol *symbols, size_t n, struct err *err)
{
	/* Lazily: of what it needs itself, most is never called. */
	void *library = dlopen(file, RTLD_LAZY | RTLD_LOCAL);

	if (!library)
		return err_set(err, -EOPNOTSUPP, "%s", dlerror());
	for (size_t i = 0; i < n; i++) {
		void *symbol = dlsym(library, symbols[i].name);

		if (!symbol) {
			(void)dlclose(library);
			return err_set(err, -EOPNOTSUPP, "%s has no %s", file, symbols[i].name);
		}
		memcpy(symbols[i].slot, &symbol, sizeof symbol);
	}
	return 0;
}
