/* SPDX-License-Identifier: Apache-2.0 */
/* Super-packets: splitting and coalescing. */
#include "core.h"

const struct native_function offload_functions[] = {
	{NULL, NULL},
};
