/* SPDX-License-Identifier: Apache-2.0 */
/* Classic filters of TAP devices: an ioctl whose argument has a pointer in it. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>

/*
 * The driver copies the program, but notes its address as well, and reads there again when a queue is attached
 * (tun_attach() in drivers/net/tun.c). If it finds a program, it gives it to the queue and does not attach it; if not, it
 * attaches the queue without a filter, and TUNSETQUEUE fails nevertheless. So it must find none: the one place that programs are passed in is zero but for
 * the call, and no memory of the process that is in use for something else.
 */
static pthread_mutex_t program_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sock_filter program[BPF_MAXINSNS];

/* tunAttachFilter(fd, instructions): 0 | -errno. Classic BPF, eight bytes an instruction. */
static napi_value tun_attach_filter(napi_env env, napi_callback_info info)
{
	struct sock_fprog filter = {.filter = program};
	napi_value argv[MAX_ARGS];
	struct bytes code;
	int32_t fd;
	int error = 0;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &code))
		return NULL;
	if (code.len == 0 || code.len % sizeof(program[0]) != 0 || code.len > sizeof(program))
		return misuse(env, "expected 1 to 4096 whole instructions");
	filter.len = (unsigned short)(code.len / sizeof(program[0]));
	pthread_mutex_lock(&program_lock);
	memcpy(program, code.data, code.len);
	if (ioctl(fd, TUNATTACHFILTER, &filter) < 0)
		error = errno;
	memset(program, 0, code.len);
	pthread_mutex_unlock(&program_lock);
	return to_number(env, -error);
}

const struct native_function filter_functions[] = {
	{"tunAttachFilter", tun_attach_filter},
	{NULL, NULL},
};
