/* SPDX-License-Identifier: Apache-2.0 */
/* Super-packets: what JavaScript sees of segment.c and coalesce.c. */
#include "core.h"
#include "offload.h"

const struct native_function offload_functions[] = {
	{"segment", offload_segment},
	{"readSegments", offload_read_segments},
	{"writeCoalesced", offload_write_coalesced},
	{"coalesce", offload_coalesce},
	{NULL, NULL},
};
