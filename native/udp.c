/* SPDX-License-Identifier: Apache-2.0 */
/* UDP datagrams in batches. */
#include "core.h"

const struct native_function udp_functions[] = {
	{NULL, NULL},
};
