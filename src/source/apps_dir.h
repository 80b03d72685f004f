/* A folder of control directories as a source: each sub-folder is one app, and becomes one process
 * type that runs `hsup start` on it. So an app that appears is a new release with one type more,
 * and nobody else is touched.
 *
 * An app is launched when hsup.json says so (Autolaunch; without it: all), or when a release is
 * submitted to it, and stays so until it is removed or the daemon stops: the names are kept in the
 * runtime directory, so that neither the supervisor's death nor a change of hsup.json stops it. */
#pragma once

#include "source/source.h"

struct apps_dir_setup {		 /* all the caller's; must outlive the source */
	const char *folder;	 /* absolute */
	const char *config;	 /* hsup.json; need not exist */
	const char *runtime_dir; /* exists */
	/* What runs an app; -C, its directory, --log-app and its name are added. */
	char *const *command;
	char *const *environment; /* as environ(7); what only the daemon may know is left out */
};

/* Opens it; *ret_state is for apps_dir_ops. */
int apps_dir_open(
	const struct apps_dir_setup *setup, void **ret_state, struct err *err) HSUP_MUST_CHECK;
extern const struct source_ops apps_dir_ops;
