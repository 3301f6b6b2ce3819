/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP datagrams in batches: recvmmsg with UDP_GRO, sendmmsg with UDP_SEGMENT, the error queue.
 *
 * A batch is memory and descriptors of four words (src/link/packet-batch.ts): offset, length, and here
 *
 *   word 2   bits 0-15   index into the table of endpoints; 0 is the peer of a connected socket
 *            bits 16-23  IPv4 type of service or IPv6 traffic class; on sending 0 leaves that of the socket
 *            bit 24      an empty datagram, where otherwise a length of 0 means: dropped
 *   word 3   not looked at
 *
 * An endpoint is a record of twelve words, numbers in host order (src/transport/udp-endpoints.ts):
 *
 *   0 family (4, 6, or 0 for the peer of a connected socket)   1 port   2-5 address   6 scope id
 *   7 index of the interface on which it came   8-11 address to which it came; for IPv4 8 is that and 9 the one
 *   to answer from, which differ for broadcast and multicast
 *
 * sendmmsg and recvmmsg are raw system calls: the wrappers of musl loop over single messages.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS 4
#define ALIGNMENT 8
#define ENDPOINT_WORDS 12

#define TAG_ENDPOINT 0xffffu
#define TAG_CLASS_SHIFT 16
#define TAG_CLASS 0xffu
#define TAG_EMPTY (1u << 24)

/* Options of both calls. */
#define WITH_OFFLOAD 1u	   /* receiving: UDP_GRO is on; sending: use UDP_SEGMENT */
#define WITH_IPV6 2u	   /* an AF_INET6 socket */
#define WITH_NAMES 4u	   /* receiving: the socket is not connected, tell who sent */
#define WITH_CONTROL 8u	   /* receiving: ask for control messages */
#define WITH_INTERFACE 16u /* sending: out of the interface of the endpoint */
#define SEGMENT_LIMIT_SHIFT 16 /* sending: no UDP_SEGMENT for datagrams longer than this; 0 is no limit */

/* linux/udp.h, linux/socket.h; declared here since the C library may be older than the kernel. */
#define LEVEL_UDP 17
#define OPTION_UDP_SEGMENT 103
#define OPTION_UDP_GRO 104
#define OPTION_RXQ_OVFL 40

/*
 * A message may hold 65,535 bytes. The rest keeps the starts of messages out of the same cache sets.
 * src/transport/udp-batch.ts knows this number.
 */
#define SLOT_LEN 67008
#define LONGEST 65536
#define RECEIVE_MESSAGES 16
/* Descriptors kept free per message under UDP_GRO; the kernel joins 64, and lets 128 be sent as one. */
#define GRO_SEGMENTS 128
/* Messages up to this are moved together, so that the next ones find room; longer ones stay where they are. */
#define MOVE_MAX 4096

#define SEND_MESSAGES 64
#define SEND_PARTS 512
#define GSO_SEGMENTS 64
#define GSO_BYTES 65487 /* 65,535 less the headers of IPv6 and UDP */

#define CONTROL_LEN 256
#define STATUS_WORDS 8

union control {
	uint8_t bytes[CONTROL_LEN];
	struct cmsghdr align;
};

union name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* struct sock_extended_err of linux/errqueue.h, followed by the address of who told. */
struct extended_error {
	uint32_t number;
	uint8_t origin, type, code, pad;
	uint32_t info, data;
};

static void load_address(uint32_t *words, const void *bytes, size_t count)
{
	uint32_t word;

	for (size_t i = 0; i < count; i++) {
		memcpy(&word, (const uint8_t *)bytes + i * 4, 4);
		words[i] = ntohl(word);
	}
}

static void store_address(void *bytes, const uint32_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t word = htonl(words[i]);

		memcpy((uint8_t *)bytes + i * 4, &word, 4);
	}
}

static bool is_mapped(const uint32_t *words)
{
	return words[0] == 0 && words[1] == 0 && words[2] == 0xffff;
}

/* IPv4 addresses of a dual-stack socket become records of family 4. */
static void load_name(uint32_t *record, const union name *name, socklen_t len)
{
	if (len >= sizeof(name->v4) && name->any.sa_family == AF_INET) {
		record[0] = 4;
		record[1] = ntohs(name->v4.sin_port);
		load_address(record + 2, &name->v4.sin_addr, 1);
		return;
	}
	if (len < sizeof(name->v6) || name->any.sa_family != AF_INET6)
		return;
	record[0] = 6;
	record[1] = ntohs(name->v6.sin6_port);
	load_address(record + 2, &name->v6.sin6_addr, 4);
	record[6] = name->v6.sin6_scope_id;
	if (is_mapped(record + 2)) {
		record[0] = 4;
		record[2] = record[5];
		record[3] = record[4] = record[5] = record[6] = 0;
	}
}

static socklen_t store_name(union name *name, const uint32_t *record, bool ipv6)
{
	memset(name, 0, sizeof(*name));
	if (!ipv6) {
		/* A record of family 6 keeps its family: the kernel refuses it with EAFNOSUPPORT. */
		name->v4.sin_family = record[0] == 4 ? AF_INET : AF_INET6;
		name->v4.sin_port = htons((uint16_t)record[1]);
		store_address(&name->v4.sin_addr, record + 2, 1);
		return sizeof(name->v4);
	}
	name->v6.sin6_family = AF_INET6;
	name->v6.sin6_port = htons((uint16_t)record[1]);
	if (record[0] == 4) {
		const uint32_t mapped[4] = {0, 0, 0xffff, record[2]};

		store_address(&name->v6.sin6_addr, mapped, 4);
	} else {
		store_address(&name->v6.sin6_addr, record + 2, 4);
		name->v6.sin6_scope_id = record[6];
	}
	return sizeof(name->v6);
}

/* The walk of CMSG_NXTHDR, which glibc and musl resolve to different symbols. */
static const struct cmsghdr *next_control(const uint8_t *start, size_t len, size_t *at)
{
	const struct cmsghdr *header = (const struct cmsghdr *)(const void *)(start + *at);

	if (*at > len || len - *at < sizeof(*header) || header->cmsg_len < sizeof(*header) || header->cmsg_len > len - *at)
		return NULL;
	*at += CMSG_ALIGN(header->cmsg_len);
	return header;
}

static void add_control(struct msghdr *message, uint8_t *control, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *header = (struct cmsghdr *)(void *)(control + message->msg_controllen);

	memset(header, 0, CMSG_SPACE(len));
	header->cmsg_level = level;
	header->cmsg_type = type;
	header->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(header), data, len);
	message->msg_control = control;
	message->msg_controllen += CMSG_SPACE(len);
}

/* ---- receiving ---- */

/* What the control messages of one received message say. */
struct told {
	uint32_t segment_len;
	uint32_t traffic_class;
	uint32_t dropped;
	bool has_dropped;
};

static void load_ipv4_info(uint32_t *record, const struct in_pktinfo *info)
{
	record[7] = (uint32_t)info->ipi_ifindex;
	load_address(record + 8, &info->ipi_addr, 1);
	load_address(record + 9, &info->ipi_spec_dst, 1);
	record[10] = record[11] = 0;
}

static void load_ipv6_info(uint32_t *record, const struct in6_pktinfo *info)
{
	/* A dual-stack socket also gets IP_PKTINFO for IPv4, which says more. */
	if (record[7] != 0)
		return;
	record[7] = (uint32_t)info->ipi6_ifindex;
	load_address(record + 8, &info->ipi6_addr, 4);
	if (is_mapped(record + 8)) {
		record[8] = record[11];
		record[9] = record[10] = record[11] = 0;
	}
}

static void load_control(const struct msghdr *message, uint32_t *record, struct told *told)
{
	const uint8_t *start = message->msg_control;
	const struct cmsghdr *header;
	size_t at = 0;

	while ((header = next_control(start, message->msg_controllen, &at))) {
		const uint8_t *data = CMSG_DATA(header);
		size_t len = header->cmsg_len - CMSG_LEN(0);
		int number = 0;

		if (len >= sizeof(number))
			memcpy(&number, data, sizeof(number));
		else if (len >= 1)
			number = data[0];
		if (header->cmsg_level == LEVEL_UDP && header->cmsg_type == OPTION_UDP_GRO)
			told->segment_len = number > 0 ? (uint32_t)number : 0;
		else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS)
			told->traffic_class = (uint32_t)number & TAG_CLASS;
		else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS)
			told->traffic_class = (uint32_t)number & TAG_CLASS;
		else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO && len >= sizeof(struct in_pktinfo))
			load_ipv4_info(record, (const struct in_pktinfo *)(const void *)data);
		else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO &&
			 len >= sizeof(struct in6_pktinfo))
			load_ipv6_info(record, (const struct in6_pktinfo *)(const void *)data);
		else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == OPTION_RXQ_OVFL) {
			told->dropped = (uint32_t)number;
			told->has_dropped = true;
		}
	}
}

struct receiver {
	struct bytes pool;
	uint32_t *descriptors, *endpoints;
	size_t capacity, endpoints_capacity;
	uint32_t options;
	uint32_t *status;
	size_t at; /* first free byte */
	uint32_t count, endpoints_count;
};

static bool endpoint_is_last(const struct receiver *r, const uint32_t *record)
{
	return r->endpoints_count > 1 &&
	       memcmp(r->endpoints + (size_t)(r->endpoints_count - 1) * ENDPOINT_WORDS, record,
		      ENDPOINT_WORDS * sizeof(*record)) == 0;
}

/* Index of the endpoint; messages in a row of the same one share a record. There is room for one per message. */
static uint32_t note_endpoint(struct receiver *r, const uint32_t *record)
{
	if (record[0] == 0 && record[7] == 0)
		return 0;
	if (!endpoint_is_last(r, record))
		memcpy(r->endpoints + (size_t)r->endpoints_count++ * ENDPOINT_WORDS, record,
		       ENDPOINT_WORDS * sizeof(*record));
	return r->endpoints_count - 1;
}

/* Descriptors for one message of `len` bytes at `start`, one for each of its segments. */
static void describe(struct receiver *r, size_t start, size_t len, uint32_t tag, uint32_t segment_len)
{
	size_t offset = 0;

	if (segment_len == 0 || segment_len > len)
		segment_len = (uint32_t)len;
	do {
		uint32_t *descriptor = r->descriptors + (size_t)r->count * WORDS;
		size_t here = len - offset < segment_len ? len - offset : segment_len;

		if (r->count == r->capacity) {
			/* More segments than any kernel joins. */
			r->status[6]++;
			break;
		}
		descriptor[0] = (uint32_t)(start + offset);
		descriptor[1] = (uint32_t)here;
		descriptor[2] = here == 0 ? tag | TAG_EMPTY : tag;
		descriptor[3] = 0;
		r->count++;
		r->status[1] += (uint32_t)here;
		offset += here;
	} while (offset < len);
}

static void take_message(struct receiver *r, const struct mmsghdr *message, const union name *name)
{
	uint32_t record[ENDPOINT_WORDS] = {0};
	struct told told = {0};
	size_t len = message->msg_len;
	uint8_t *data = message->msg_hdr.msg_iov->iov_base;
	uint32_t index = 0;

	if (message->msg_hdr.msg_flags & MSG_TRUNC) {
		r->status[6]++;
		return;
	}
	if (r->options & (WITH_NAMES | WITH_CONTROL)) {
		if (r->options & WITH_NAMES)
			load_name(record, name, message->msg_hdr.msg_namelen);
		if (r->options & WITH_CONTROL)
			load_control(&message->msg_hdr, record, &told);
		index = note_endpoint(r, record);
	}
	if (told.has_dropped) {
		r->status[4] = told.dropped;
		r->status[5] = 1;
	}
	if (data != r->pool.data + r->at && len <= MOVE_MAX) {
		memmove(r->pool.data + r->at, data, len);
		data = r->pool.data + r->at;
	}
	describe(r, (size_t)(data - r->pool.data), len, index | told.traffic_class << TAG_CLASS_SHIFT, told.segment_len);
	r->at = ((size_t)(data - r->pool.data) + len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* How many messages find room now, whatever they turn out to be. */
static uint32_t message_room(const struct receiver *r)
{
	size_t room = r->capacity - r->count;
	size_t slots = r->at >= r->pool.len ? 0 : (r->pool.len - r->at) / SLOT_LEN;

	if (r->options & WITH_OFFLOAD)
		room = room >= GRO_SEGMENTS ? room / GRO_SEGMENTS : 0;
	if (room > slots)
		room = slots;
	if (room > r->endpoints_capacity - r->endpoints_count)
		room = r->endpoints_capacity - r->endpoints_count;
	return room > RECEIVE_MESSAGES ? RECEIVE_MESSAGES : (uint32_t)room;
}

/* One recvmmsg. False when there is no more for now; status[0] says why, 0 for none. */
static bool receive_messages(struct receiver *r, int32_t fd)
{
	struct mmsghdr messages[RECEIVE_MESSAGES];
	struct iovec parts[RECEIVE_MESSAGES];
	union name names[RECEIVE_MESSAGES];
	union control controls[RECEIVE_MESSAGES];
	uint32_t want = message_room(r);
	long got;

	if (want == 0)
		return false;
	for (uint32_t i = 0; i < want; i++) {
		struct msghdr *header = &messages[i].msg_hdr;

		parts[i].iov_base = r->pool.data + r->at + (size_t)i * SLOT_LEN;
		parts[i].iov_len = LONGEST;
		header->msg_name = r->options & WITH_NAMES ? &names[i] : NULL;
		header->msg_namelen = r->options & WITH_NAMES ? sizeof(names[i]) : 0;
		header->msg_iov = &parts[i];
		header->msg_iovlen = 1;
		header->msg_control = r->options & WITH_CONTROL ? &controls[i] : NULL;
		header->msg_controllen = r->options & WITH_CONTROL ? sizeof(controls[i]) : 0;
		header->msg_flags = 0;
	}
	got = syscall(SYS_recvmmsg, fd, messages, want, MSG_DONTWAIT, NULL);
	if (got < 0) {
		if (errno == EINTR)
			return true;
		r->status[0] = (uint32_t)errno;
		return false;
	}
	for (long i = 0; i < got; i++)
		take_message(r, &messages[i], &names[i]);
	r->status[3] += (uint32_t)got;
	return got == (long)want;
}

static bool get_status(napi_env env, napi_value value, uint32_t **status)
{
	size_t len;

	if (!get_words(env, value, status, &len))
		return false;
	if (len < STATUS_WORDS) {
		misuse(env, "status needs eight words");
		return false;
	}
	memset(*status, 0, STATUS_WORDS * sizeof(**status));
	return true;
}

/*
 * udpReceive(fd, bytes, descriptors, endpoints, options, status): datagrams received.
 * Stops when nothing is queued, when less than a slot is free, or when a call fails.
 * status: [0] errno that ended it or 0, [1] bytes, [2] records in `endpoints` (the first is left alone), [3] messages,
 * [4] what SO_RXQ_OVFL counts, if [5] is 1, [6] datagrams lost for want of room.
 */
static napi_value udp_receive(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct receiver r = {0};
	size_t descriptors_len, endpoints_len;
	int32_t fd;

	if (!get_args(env, info, 6, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &r.pool) ||
	    !get_words(env, argv[2], &r.descriptors, &descriptors_len) ||
	    !get_words(env, argv[3], &r.endpoints, &endpoints_len) || !get_u32(env, argv[4], &r.options) ||
	    !get_status(env, argv[5], &r.status))
		return NULL;
	if (r.pool.len > UINT32_MAX)
		return misuse(env, "batch memory over 4 GiB");
	r.capacity = descriptors_len / WORDS;
	r.endpoints_capacity = endpoints_len / ENDPOINT_WORDS;
	if (r.endpoints_capacity > TAG_ENDPOINT + 1)
		r.endpoints_capacity = TAG_ENDPOINT + 1;
	if (r.endpoints_capacity < 1)
		return misuse(env, "no room for endpoints");
	r.endpoints_count = 1;
	while (receive_messages(&r, fd))
		;
	r.status[2] = r.endpoints_count;
	return to_number(env, r.count);
}

/* ---- sending ---- */

struct sender {
	struct bytes pool;
	const uint32_t *descriptors, *endpoints;
	uint32_t endpoints_count, options, segment_limit;
	uint32_t at, to;
	uint32_t messages_count, parts_count;
	uint32_t ends[SEND_MESSAGES];	  /* descriptor after the message */
	uint32_t datagrams[SEND_MESSAGES];
	uint32_t segment_lens[SEND_MESSAGES]; /* 0 for a message without UDP_SEGMENT */
	size_t lens[SEND_MESSAGES];
	struct mmsghdr messages[SEND_MESSAGES];
	struct iovec parts[SEND_PARTS];
	union name names[SEND_MESSAGES];
	union control controls[SEND_MESSAGES];
};

static bool is_multicast(const uint32_t *record)
{
	if (record[0] == 4)
		return record[9] >> 28 == 0xe || record[9] == 0xffffffff;
	return record[8] >> 24 == 0xff;
}

/* The source address, and the interface if asked for. */
static void add_source(struct sender *s, struct msghdr *header, uint8_t *control, const uint32_t *record)
{
	uint32_t ifindex = s->options & WITH_INTERFACE ? record[7] : 0;
	bool has_source = (record[8] | record[9] | record[10] | record[11]) != 0 && !is_multicast(record);
	bool ipv4 = record[0] == 4 || (record[0] == 0 && !(s->options & WITH_IPV6));

	if (!has_source && ifindex == 0)
		return;
	if (ipv4) {
		struct in_pktinfo info = {.ipi_ifindex = (int)ifindex};

		if (has_source)
			store_address(&info.ipi_spec_dst, record + 9, 1);
		add_control(header, control, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = {.ipi6_ifindex = ifindex};

		if (has_source)
			store_address(&info.ipi6_addr, record + 8, 4);
		add_control(header, control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

/* Name and control messages for a tag; the index was checked. */
static void address_message(struct sender *s, uint32_t slot, uint32_t tag)
{
	struct msghdr *header = &s->messages[slot].msg_hdr;
	uint8_t *control = s->controls[slot].bytes;
	uint32_t index = tag & TAG_ENDPOINT;
	int traffic_class = (int)(tag >> TAG_CLASS_SHIFT & TAG_CLASS);
	bool ipv6 = s->options & WITH_IPV6;

	if (index != 0) {
		const uint32_t *record = s->endpoints + (size_t)index * ENDPOINT_WORDS;

		if (record[0] != 0) {
			header->msg_name = &s->names[slot];
			header->msg_namelen = store_name(&s->names[slot], record, ipv6);
			if (record[0] == 4)
				ipv6 = false;
		}
		add_source(s, header, control, record);
	}
	if (traffic_class == 0)
		return;
	if (ipv6)
		add_control(header, control, IPPROTO_IPV6, IPV6_TCLASS, &traffic_class, sizeof(traffic_class));
	else
		add_control(header, control, IPPROTO_IP, IP_TOS, &traffic_class, sizeof(traffic_class));
}

static uint32_t tag_of(const struct sender *s, uint32_t i)
{
	/* Without endpoints the words are those of somebody else, for example of the device it was read from. */
	return s->endpoints ? s->descriptors[(size_t)i * WORDS + 2] : 0;
}

static bool is_skipped(const struct sender *s, uint32_t i)
{
	return s->descriptors[(size_t)i * WORDS + 1] == 0 && !(tag_of(s, i) & TAG_EMPTY);
}

static void add_part(struct sender *s, struct msghdr *header, uint32_t i)
{
	uint8_t *data = s->pool.data + s->descriptors[(size_t)i * WORDS];
	size_t len = s->descriptors[(size_t)i * WORDS + 1];
	struct iovec *last = header->msg_iov + header->msg_iovlen - 1;

	if (header->msg_iovlen > 0 && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += len;
		return;
	}
	s->parts[s->parts_count++] = (struct iovec){data, len};
	header->msg_iovlen++;
}

/* Whether a message that starts with a datagram of this length may have more of them. */
static bool may_be_segmented(const struct sender *s, size_t len)
{
	if (!(s->options & WITH_OFFLOAD) || len == 0)
		return false;
	return s->segment_limit == 0 || len <= s->segment_limit;
}

/* The next message: one datagram, or a run of equal ones to the same endpoint. */
static void build_message(struct sender *s)
{
	uint32_t slot = s->messages_count, i = s->at;
	uint32_t tag = tag_of(s, i) & ~TAG_EMPTY;
	size_t len = s->descriptors[(size_t)i * WORDS + 1];
	struct msghdr *header = &s->messages[slot].msg_hdr;
	uint16_t segment_len = (uint16_t)len;
	size_t here = len;

	memset(header, 0, sizeof(*header));
	header->msg_iov = &s->parts[s->parts_count];
	address_message(s, slot, tag);
	add_part(s, header, i++);
	s->datagrams[slot] = 1;
	s->lens[slot] = len;
	if (may_be_segmented(s, len)) {
		/* Only the last segment may be shorter. */
		for (; i < s->to && here == len && s->datagrams[slot] < GSO_SEGMENTS && s->parts_count < SEND_PARTS; i++) {
			if (is_skipped(s, i))
				continue;
			here = s->descriptors[(size_t)i * WORDS + 1];
			if (here == 0 || here > len || tag_of(s, i) != tag || s->lens[slot] + here > GSO_BYTES)
				break;
			add_part(s, header, i);
			s->lens[slot] += here;
			s->datagrams[slot]++;
		}
	}
	s->segment_lens[slot] = 0;
	if (s->datagrams[slot] > 1) {
		s->segment_lens[slot] = (uint32_t)len;
		add_control(header, s->controls[slot].bytes, LEVEL_UDP, OPTION_UDP_SEGMENT, &segment_len, sizeof(segment_len));
	}
	s->ends[slot] = i;
	s->at = i;
	s->messages_count++;
}

static void build_messages(struct sender *s)
{
	s->messages_count = 0;
	s->parts_count = 0;
	while (s->at < s->to && s->messages_count < SEND_MESSAGES && s->parts_count < SEND_PARTS) {
		if (is_skipped(s, s->at))
			s->at++;
		else
			build_message(s);
	}
}

/* Sends from s->at on; returns the descriptor that comes next, with status[0] set when it failed. */
static uint32_t send_messages(struct sender *s, int32_t fd, uint32_t *status)
{
	uint32_t done = s->at;

	while (s->at < s->to) {
		long sent;

		build_messages(s);
		if (s->messages_count == 0)
			return s->at;
		sent = syscall(SYS_sendmmsg, fd, s->messages, s->messages_count, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR) {
			status[0] = (uint32_t)errno;
			status[3] = s->ends[0] - done;
			status[4] = s->datagrams[0];
			status[5] = s->segment_lens[0];
			return done;
		}
		for (long i = 0; i < sent; i++) {
			status[1] += (uint32_t)s->lens[i];
			status[2] += s->datagrams[i];
			status[6]++;
			done = s->ends[i];
		}
		if (sent < (long)s->messages_count) {
			/* Why shows when the one that failed is tried again, unless an error of earlier was fetched. */
			status[7] = 1;
			s->at = done;
		}
		done = s->at;
	}
	return done;
}

/* Every descriptor in range is looked at once, before anything is sent. */
static const char *check_send(const struct sender *s)
{
	for (uint32_t i = s->at; i < s->to; i++) {
		const uint32_t *descriptor = s->descriptors + (size_t)i * WORDS;

		if (descriptor[0] > s->pool.len || descriptor[1] > s->pool.len - descriptor[0])
			return "datagram outside the batch memory";
		if (s->endpoints && (descriptor[2] & TAG_ENDPOINT) >= s->endpoints_count && (descriptor[2] & TAG_ENDPOINT) != 0)
			return "endpoint outside the table";
	}
	return NULL;
}

/*
 * udpSend(fd, bytes, descriptors, endpoints | undefined, from, to, options, status): descriptors taken.
 * Stops at the first message that fails, which is not counted. Without endpoints word 2 is not looked at and all goes
 * to the peer of the connected socket.
 * status: [0] errno that ended it or 0, [1] bytes, [2] datagrams sent; of the message that failed: [3] descriptors,
 * [4] datagrams, [5] length of its segments or 0; [6] messages sent, [7] 1 when the kernel stopped on the way.
 */
static napi_value udp_send(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	uint32_t *descriptors, *endpoints = NULL, *status, from;
	size_t descriptors_len, endpoints_len = 0;
	napi_valuetype type;
	struct sender s;
	const char *wrong;
	int32_t fd;

	if (!get_args(env, info, 8, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &s.pool) ||
	    !get_words(env, argv[2], &descriptors, &descriptors_len))
		return NULL;
	CHECK_NAPI(env, napi_typeof(env, argv[3], &type));
	if (type != napi_undefined && !get_words(env, argv[3], &endpoints, &endpoints_len))
		return NULL;
	if (!get_u32(env, argv[4], &from) || !get_u32(env, argv[5], &s.to) || !get_u32(env, argv[6], &s.options) ||
	    !get_status(env, argv[7], &status))
		return NULL;
	if (from > s.to || (size_t)s.to * WORDS > descriptors_len)
		return misuse(env, "range outside the descriptors");
	s.descriptors = descriptors;
	s.endpoints = endpoints;
	s.endpoints_count = (uint32_t)(endpoints_len / ENDPOINT_WORDS);
	s.segment_limit = s.options >> SEGMENT_LIMIT_SHIFT;
	s.at = from;
	wrong = check_send(&s);
	if (wrong)
		return misuse(env, wrong);
	return to_number(env, send_messages(&s, fd, status) - from);
}

/* udpConnect(fd, sockaddr): 0 | -errno. */
static napi_value udp_connect(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct bytes addr;
	int32_t fd;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &addr))
		return NULL;
	return to_result(env, connect(fd, (const struct sockaddr *)(const void *)addr.data, (socklen_t)addr.len));
}

/* ---- errors ---- */

#define ERROR_WORDS 32

static void load_error(uint32_t *out, const uint8_t *data, size_t len)
{
	struct extended_error error;
	union name offender = {0};

	memcpy(&error, data, sizeof(error));
	out[0] = error.number;
	out[1] = error.origin;
	out[2] = error.type;
	out[3] = error.code;
	out[4] = error.info;
	len -= sizeof(error);
	if (len > sizeof(offender))
		len = sizeof(offender);
	memcpy(&offender, data + sizeof(error), len);
	load_name(out + 8 + ENDPOINT_WORDS, &offender, (socklen_t)len);
}

/*
 * udpError(fd, out): 1 | 0 when the queue is empty | -errno. Takes one error from the queue.
 * out, 32 words: [0] errno, [1] origin (1 local, 2 ICMP, 3 ICMPv6), [2] type, [3] code, [4] info (the MTU), [8-19]
 * endpoint to which the datagram went, [20-31] who reported it, of family 0 when nobody.
 */
static napi_value udp_error(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct msghdr message = {0};
	const struct cmsghdr *header;
	union control control;
	union name name;
	struct iovec part;
	uint8_t payload[8];
	size_t out_len, at = 0;
	uint32_t *out;
	ssize_t n;
	int32_t fd;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &fd) || !get_words(env, argv[1], &out, &out_len))
		return NULL;
	if (out_len < ERROR_WORDS)
		return misuse(env, "an error needs 32 words");
	memset(out, 0, ERROR_WORDS * sizeof(*out));
	part = (struct iovec){payload, sizeof(payload)};
	message.msg_name = &name;
	message.msg_namelen = sizeof(name);
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = &control;
	message.msg_controllen = sizeof(control);
	do
		n = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return to_number(env, errno == EAGAIN ? 0 : -(int64_t)errno);
	load_name(out + 8, &name, message.msg_namelen);
	while ((header = next_control(control.bytes, message.msg_controllen, &at))) {
		size_t len = header->cmsg_len - CMSG_LEN(0);
		bool is_error = (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR) ||
				(header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR);

		if (is_error && len >= sizeof(struct extended_error))
			load_error(out, CMSG_DATA(header), len);
	}
	return to_number(env, 1);
}

const struct native_function udp_functions[] = {
	{"udpReceive", udp_receive},
	{"udpSend", udp_send},
	{"udpConnect", udp_connect},
	{"udpError", udp_error},
	{NULL, NULL},
};
