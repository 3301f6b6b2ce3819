/* SPDX-License-Identifier: Apache-2.0 */
/* Loading of programs into the kernel's BPF machine. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BPF_PROG_LOAD 5
#define BPF_PROG_TYPE_SOCKET_FILTER 1
#define INSTRUCTION_LEN 8

/* The first members of union bpf_attr for BPF_PROG_LOAD, linux/bpf.h; the kernel takes shorter ones than its own. */
struct prog_load {
	uint32_t prog_type;
	uint32_t insn_cnt;
	uint64_t insns;
	uint64_t license;
	uint32_t log_level;
	uint32_t log_size;
	uint64_t log_buf;
	uint32_t kern_version;
	uint32_t prog_flags;
	char prog_name[16];
};

/*
 * bpfLoad(instructions, log?: Uint8Array): fd | -errno. A socket filter program of eight bytes an instruction. The
 * kernel copies it; what its verifier says goes into `log`, as text that ends with a zero.
 */
static napi_value bpf_load(napi_env env, napi_callback_info info)
{
	struct prog_load load = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .prog_name = "vnic"};
	napi_value argv[MAX_ARGS];
	struct bytes instructions, log;
	long fd;

	if (!get_args(env, info, 2, argv) || !get_bytes(env, argv[0], &instructions) ||
	    !get_optional_bytes(env, argv[1], &log))
		return NULL;
	if (instructions.len % INSTRUCTION_LEN != 0 || instructions.len / INSTRUCTION_LEN > UINT32_MAX ||
	    log.len > UINT32_MAX)
		return misuse(env, "expected whole instructions and a log below 4 GiB");
	load.insns = (uintptr_t)instructions.data;
	load.insn_cnt = (uint32_t)(instructions.len / INSTRUCTION_LEN);
	load.license = (uintptr_t) "Apache-2.0";
	if (log.len > 0) {
		load.log_level = 1;
		load.log_size = (uint32_t)log.len;
		load.log_buf = (uintptr_t)log.data;
	}
	/* The kernel gives it close-on-exec. */
	fd = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (fd >= 0 && !own_fd(env_state(env), (int32_t)fd)) {
		close((int)fd);
		return to_number(env, -ENOMEM);
	}
	return to_result(env, fd);
}

const struct native_function bpf_functions[] = {
	{"bpfLoad", bpf_load},
	{NULL, NULL},
};
