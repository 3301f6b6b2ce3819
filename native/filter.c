/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classic filters of TAP devices.
 *
 * The driver keeps not the program but the address at which it found it, and reads it there again whenever a queue is
 * attached (tun_attach() in drivers/net/tun.c). So a program stays in memory of its own, out of reach of the garbage
 * collector and of the environment that set it, until its device has another one or none. TUNGETFILTER tells which address
 * the device has.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct program {
	struct program *next;
	int32_t id;
	struct sock_filter code[];
};

/* Of the process: queues of one device may be attached by several environments. */
static pthread_mutex_t programs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct program *programs;
static int32_t last_id;

/* Frees the program of this address or id; neither may be one of ours. Call it locked. */
static void forget_program(const struct sock_filter *code, int32_t id)
{
	for (struct program **at = &programs; *at; at = &(*at)->next) {
		struct program *found = *at;

		if (found->code != code && found->id != id)
			continue;
		*at = found->next;
		free(found);
		return;
	}
}

static const struct sock_filter *current_code(int fd)
{
	struct sock_fprog current = {0};

	return ioctl(fd, TUNGETFILTER, &current) < 0 ? NULL : current.filter;
}

/* A device that has a filter remembers also a bad one that is to replace it: have the kernel judge it elsewhere. */
static int check_program(struct sock_fprog *filter)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof(*filter)) < 0)
		error = errno;
	close(fd);
	return error;
}

/* Returns 0 or an errno. The program belongs to the list in any case: the kernel may have noted its address. */
static int attach_program(int fd, struct program *program, struct sock_fprog *filter)
{
	const struct sock_filter *before;
	int error = 0;

	pthread_mutex_lock(&programs_lock);
	before = current_code(fd);
	if (ioctl(fd, TUNATTACHFILTER, filter) < 0)
		error = errno;
	/* After EBADFD and EINVAL the driver has not looked at it. */
	if (error == EBADFD || error == EINVAL) {
		free(program);
	} else {
		program->id = last_id = last_id == INT32_MAX ? 1 : last_id + 1;
		program->next = programs;
		programs = program;
		if (before)
			forget_program(before, -1);
	}
	pthread_mutex_unlock(&programs_lock);
	return error;
}

/* tunAttachFilter(fd, instructions): id | -errno. Classic BPF, eight bytes an instruction, copied. */
static napi_value tun_attach_filter(napi_env env, napi_callback_info info)
{
	struct sock_fprog filter;
	struct program *program;
	napi_value argv[MAX_ARGS];
	struct bytes code;
	int32_t fd;
	int error;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &code))
		return NULL;
	if (code.len == 0 || code.len % sizeof(struct sock_filter) != 0 || code.len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return misuse(env, "expected 1 to 4096 whole instructions");
	program = calloc(1, sizeof(*program) + code.len);
	if (!program)
		return to_number(env, -ENOMEM);
	memcpy(program->code, code.data, code.len);
	filter.len = (unsigned short)(code.len / sizeof(struct sock_filter));
	filter.filter = program->code;
	error = check_program(&filter);
	if (error) {
		free(program);
		return to_number(env, -error);
	}
	error = attach_program(fd, program, &filter);
	return to_number(env, error ? -error : last_id);
}

/*
 * tunDetachFilter(fd, id): 0 | -errno. Takes the filter of the device away, whoever set it. `id` is what
 * tunAttachFilter returned or 0: when the device is gone, its program can be found by nothing else.
 */
static napi_value tun_detach_filter(napi_env env, napi_callback_info info)
{
	struct sock_fprog none = {0};
	const struct sock_filter *before;
	napi_value argv[MAX_ARGS];
	int32_t fd, id;
	int error = 0;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &fd) || !get_i32(env, argv[1], &id))
		return NULL;
	pthread_mutex_lock(&programs_lock);
	before = current_code(fd);
	if (ioctl(fd, TUNDETACHFILTER, &none) < 0)
		error = errno;
	if (!error && before)
		forget_program(before, -1);
	if (error == EBADFD && id > 0)
		forget_program(NULL, id);
	pthread_mutex_unlock(&programs_lock);
	return to_number(env, -error);
}

const struct native_function filter_functions[] = {
	{"tunAttachFilter", tun_attach_filter},
	{"tunDetachFilter", tun_detach_filter},
	{NULL, NULL},
};
