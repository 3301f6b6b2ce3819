/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces: opening something in another one, making one, giving it a place in the file system.
 *
 * setns(2) and unshare(2) change the calling thread for good, and a thread that cannot go back would do the work
 * of others in the wrong namespace: so neither the event loop's thread nor one of the pool ever calls them. Each visit
 * runs on a thread of its own, which ends with it. A descriptor keeps the namespace in which it was opened,
 * and descriptors belong to the process: what the thread opened works everywhere.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATH_LEN 4096

/* What failed; src/native/netns.ts has the same numbers. */
enum visit_step { STEP_NONE, STEP_THREAD, STEP_ENTER, STEP_CALL };

struct visit {
	int32_t netns; /* -1: a new one */
	int (*call)(const struct visit *visit);
	const char *path;
	int32_t flags;
	int32_t domain, type, protocol;
	/* result */
	int fd;
	int error;
	enum visit_step step;
};

static int visit_open(const struct visit *visit)
{
	return open(visit->path, visit->flags | O_CLOEXEC);
}

static int visit_socket(const struct visit *visit)
{
	return socket(visit->domain, visit->type | SOCK_CLOEXEC | SOCK_NONBLOCK, visit->protocol);
}

static void *run_visit(void *arg)
{
	struct visit *visit = arg;

	visit->step = STEP_ENTER;
	if ((visit->netns < 0 ? unshare(CLONE_NEWNET) : setns(visit->netns, CLONE_NEWNET)) < 0) {
		visit->error = errno;
		return NULL;
	}
	visit->step = STEP_CALL;
	visit->fd = visit->call(visit);
	if (visit->fd < 0)
		visit->error = errno;
	else
		visit->step = STEP_NONE;
	return NULL;
}

/* Waits for the thread: entering takes microseconds, and what is called there does not wait. */
static void visit_netns(struct visit *visit)
{
	sigset_t all, before;
	pthread_t thread;
	int error;

	visit->fd = -1;
	visit->step = STEP_THREAD;
	/* The thread inherits the mask: signals are for the threads that know what to do with them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* From here on *visit is the thread's. */
	error = pthread_create(&thread, NULL, run_visit, visit);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		pthread_join(thread, NULL);
	else
		visit->error = error;
}

/* The descriptor, owned by the environment, or -errno. */
static int32_t take_result(napi_env env, const struct visit *visit)
{
	struct env *state = env_state(env);

	if (visit->fd < 0)
		return -visit->error;
	if (state && own_fd(state, visit->fd))
		return visit->fd;
	close(visit->fd);
	return -ENOMEM;
}

static napi_value finish_visit(napi_env env, struct visit *visit, napi_value status)
{
	uint32_t *words;
	size_t len;

	if (!get_words(env, status, &words, &len))
		return NULL;
	if (len < 1)
		return misuse(env, "status needs a word");
	visit_netns(visit);
	words[0] = visit->step;
	return to_number(env, take_result(env, visit));
}

/* openIn(netns, path, flags, status): fd | -errno. open(2) in that namespace; status[0] = the step that failed. */
static napi_value netns_open(napi_env env, napi_callback_info info)
{
	struct visit visit = {.call = visit_open};
	napi_value argv[MAX_ARGS];
	char path[PATH_LEN];
	size_t len;

	if (!get_args(env, info, 4, argv) || !get_i32(env, argv[0], &visit.netns) ||
	    !get_i32(env, argv[2], &visit.flags))
		return NULL;
	if (visit.netns < 0)
		return misuse(env, "expected a descriptor");
	CHECK_NAPI(env, napi_get_value_string_utf8(env, argv[1], path, sizeof(path), &len));
	visit.path = path;
	return finish_visit(env, &visit, argv[3]);
}

/* socketIn(netns, domain, type, protocol, status): fd | -errno. socket(2) in that namespace. */
static napi_value netns_socket(napi_env env, napi_callback_info info)
{
	struct visit visit = {.call = visit_socket};
	napi_value argv[MAX_ARGS];

	if (!get_args(env, info, 5, argv) || !get_i32(env, argv[0], &visit.netns) ||
	    !get_i32(env, argv[1], &visit.domain) || !get_i32(env, argv[2], &visit.type) ||
	    !get_i32(env, argv[3], &visit.protocol))
		return NULL;
	if (visit.netns < 0)
		return misuse(env, "expected a descriptor");
	return finish_visit(env, &visit, argv[4]);
}

/* A new namespace being made: a thread of the pool waits for the thread that makes it. */
struct making {
	napi_async_work work;
	napi_deferred deferred;
	struct visit visit;
};

static void run_making(napi_env env, void *data)
{
	struct making *making = data;

	(void)env;
	visit_netns(&making->visit);
}

static void on_made(napi_env env, napi_status status, void *data)
{
	struct making *making = data;
	napi_value result;
	int32_t fd;

	if (status == napi_cancelled) {
		making->visit.fd = -1;
		making->visit.error = ECANCELED;
	}
	fd = take_result(env, &making->visit);
	if (napi_create_int32(env, fd, &result) == napi_ok)
		napi_resolve_deferred(env, making->deferred, result);
	napi_delete_async_work(env, making->work);
	free(making);
}

/*
 * newNetns(): promise of fd | -errno. A new network namespace, which lives as long as the descriptor or a mount of it.
 * On the pool, since the kernel takes milliseconds, and more while others are being taken down.
 */
static napi_value netns_new(napi_env env, napi_callback_info info)
{
	struct making *making = calloc(1, sizeof(*making));
	napi_value promise, name;

	(void)info;
	if (!making)
		return misuse(env, "out of memory");
	making->visit = (struct visit){
		.netns = -1,
		.call = visit_open,
		.path = "/proc/thread-self/ns/net",
		.flags = O_RDONLY,
	};
	if (napi_create_string_utf8(env, "VNIC_NETNS", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_async_work(env, NULL, name, run_making, on_made, making, &making->work) != napi_ok) {
		free(making);
		return misuse(env, "cannot create the work");
	}
	if (napi_create_promise(env, &making->deferred, &promise) != napi_ok ||
	    napi_queue_async_work(env, making->work) != napi_ok) {
		napi_delete_async_work(env, making->work);
		free(making);
		return misuse(env, "cannot queue the work");
	}
	return promise;
}

/* mount(source, target, flags): 0 | -errno. Binds and propagation only, so without a file system type. */
static napi_value mount_bind(napi_env env, napi_callback_info info)
{
	char source[PATH_LEN], target[PATH_LEN];
	napi_value argv[MAX_ARGS];
	uint32_t flags;
	size_t len;

	if (!get_args(env, info, 3, argv) || !get_u32(env, argv[2], &flags))
		return NULL;
	CHECK_NAPI(env, napi_get_value_string_utf8(env, argv[0], source, sizeof(source), &len));
	CHECK_NAPI(env, napi_get_value_string_utf8(env, argv[1], target, sizeof(target), &len));
	return to_result(env, mount(source, target, "none", flags, NULL));
}

/* unmount(target, flags): 0 | -errno. */
static napi_value unmount(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	char target[PATH_LEN];
	int32_t flags;
	size_t len;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[1], &flags))
		return NULL;
	CHECK_NAPI(env, napi_get_value_string_utf8(env, argv[0], target, sizeof(target), &len));
	return to_result(env, umount2(target, flags));
}

const struct native_function netns_functions[] = {
	{"openIn", netns_open},
	{"socketIn", netns_socket},
	{"newNetns", netns_new},
	{"mount", mount_bind},
	{"unmount", unmount},
	{NULL, NULL},
};
