/* The labels of what we make with an engine; image.h has those that only images bear. */
#pragma once

#define LABEL_OWNER	 "hsup.owner"	/* driver_context.owner */
#define LABEL_CONTROL	 "hsup.control" /* the control directory, absolute */
#define LABEL_APP	 "hsup.app"
#define LABEL_KIND	 "hsup.kind"
#define KIND_DYNO	 "dyno"
#define KIND_RUN	 "run" /* of `hsup run`: nobody takes it over */
#define LABEL_TYPE	 "hsup.type"
#define LABEL_INSTANCE	 "hsup.instance"
#define LABEL_RELEASE	 "hsup.release" /* its Version */
#define LABEL_DYNO	 "hsup.dyno"	/* the id, decimal */
#define LABEL_GENERATION "hsup.generation"
#define LABEL_TAG	 "hsup.tag" /* as it was at the start, hex */
