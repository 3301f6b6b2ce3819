/* SPDX-License-Identifier: Apache-2.0 */
/* Which packets of a chunk may be put out as one, see coalesce.c. Nothing is written here. */
#include "coalesce.h"

#define LOOKUP 8 /* runs that a packet is compared with */
#define MAX_IP_LEN 65535
#define MAX_DATAGRAMS 64 /* UDP_MAX_SEGMENTS of kernels before 6.9 */

enum id_rule { ID_UNKNOWN, ID_FIXED, ID_COUNTS };

static uint32_t hash_flow(const uint8_t *packet, const struct headers *h)
{
	const uint8_t *addresses = packet + h->l3 + (h->version == 4 ? 12 : 8);
	uint64_t sum = sum_bytes(addresses, h->version == 4 ? 8 : 32, h->proto), ports = be32(packet + h->l4);

	return (uint32_t)((sum ^ sum >> 32) * 0x9e3779b1u + ports * 0x85ebca6bu);
}

static bool same_flow(const uint8_t *a, const struct headers *ha, const uint8_t *b, const struct headers *hb)
{
	bool v4 = ha->version == 4;

	return ha->version == hb->version && ha->proto == hb->proto &&
	       !memcmp(a + ha->l3 + (v4 ? 12 : 8), b + hb->l3 + (v4 ? 12 : 8), v4 ? 8 : 32) &&
	       !memcmp(a + ha->l4, b + hb->l4, 4);
}

/* What the kernel would put out unchanged after merging, as far as one packet tells. */
static uint8_t mergeable_kind(const uint8_t *packet, size_t len, const struct headers *h)
{
	if (h->end != len || h->payload == h->end || h->payload > MAX_HEADERS || h->routing)
		return 0;
	if (h->version == 4 && h->l4 - h->l3 != IPV4_MIN_LEN)
		return 0;
	if (h->proto == PROTO_UDP) {
		if (be16(packet + h->l4 + UDP_LEN_FIELD) != h->end - h->l4 || sum_at(packet + h->l4 + UDP_CHECK) == 0)
			return 0;
		return h->version == 4 ? ALLOW_UDPV4 : ALLOW_UDPV6;
	}
	if ((packet[h->l4 + TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG | TCP_ACK)) != TCP_ACK)
		return 0;
	return h->version == 4 ? ALLOW_TCPV4 : ALLOW_TCPV6;
}

static bool checksums_right(const uint8_t *packet, const struct headers *h)
{
	uint32_t l4_len = h->end - h->l4;

	if (h->version == 4 && fold_sum(sum_bytes(packet + h->l3, IPV4_MIN_LEN, 0)) != 0xffff)
		return false;
	return fold_sum(sum_bytes(packet + h->l4, l4_len, pseudo_sum(packet, h, l4_len))) == 0xffff;
}

static bool same_network_header(const uint8_t *a, const uint8_t *b, const struct headers *h)
{
	const uint8_t *l3a = a + h->l3, *l3b = b + h->l3;

	if (memcmp(a, b, h->l3))
		return false;
	if (h->version == 4)
		return !memcmp(l3a, l3b, IPV4_TOTAL_LEN) && !memcmp(l3a + IPV4_FLAGS, l3b + IPV4_FLAGS, 4);
	return !memcmp(l3a, l3b, IPV6_PAYLOAD_LEN) && !memcmp(l3a + IPV6_NEXT, l3b + IPV6_NEXT, h->l4 - h->l3 - IPV6_NEXT);
}

static bool same_tcp_header(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	/* A super-packet has CWR in its first segment only. */
	uint8_t differ = (a[TCP_FLAGS] & (uint8_t)~TCP_CWR) ^ b[TCP_FLAGS];

	return !(differ & (uint8_t) ~(TCP_PSH | TCP_FIN)) && a[TCP_DATA_OFFSET] == b[TCP_DATA_OFFSET] &&
	       !memcmp(a + TCP_ACK_NUMBER, b + TCP_ACK_NUMBER, 4) && !memcmp(a + TCP_WINDOW, b + TCP_WINDOW, 2) &&
	       !memcmp(a + TCP_URGENT, b + TCP_URGENT, len - TCP_URGENT);
}

/*
 * Splitting counts the IPv4 id up. Of a packet that must not be fragmented the id means nothing (RFC 6864), so there
 * one that stays the same will do.
 */
static uint8_t id_rule_of(const struct run *run, const uint8_t *packet, const struct headers *h)
{
	uint16_t id;

	if (h->version == 6)
		return ID_COUNTS;
	id = be16(packet + h->l3 + IPV4_ID);
	if (id == (uint16_t)(run->id + 1) && run->id_rule != ID_FIXED)
		return ID_COUNTS;
	if (id == run->id && run->id_rule != ID_COUNTS && (packet[h->l3 + IPV4_FLAGS] & 0x40))
		return ID_FIXED;
	return ID_UNKNOWN;
}

static bool can_join(const struct chunk *c, struct run *run, uint32_t i, const struct headers *h, uint8_t *id_rule)
{
	const uint8_t *first = packet_at(c, run->first), *packet = packet_at(c, i);
	uint32_t payload = h->end - h->payload;

	if (h->l3 != run->h.l3 || h->l4 != run->h.l4 || h->payload != run->h.payload || payload > run->gso_size)
		return false;
	if (run->h.payload - run->h.l3 + run->payload_len + payload > MAX_IP_LEN)
		return false;
	if (!same_network_header(first, packet, h))
		return false;
	if (h->proto == PROTO_TCP) {
		if (be32(packet + h->l4 + TCP_SEQ) != run->next_seq)
			return false;
		if (!same_tcp_header(first + h->l4, packet + h->l4, h->payload - h->l4))
			return false;
	} else if (run->count == MAX_DATAGRAMS) {
		return false;
	}
	*id_rule = id_rule_of(run, packet, h);
	if (*id_rule == ID_UNKNOWN)
		return false;
	if (run->verified == 0)
		run->verified = checksums_right(first, &run->h) ? 1 : 2;
	return run->verified == 1 && checksums_right(packet, h);
}

static void join(struct chunk *c, struct run *run, uint32_t i, const struct headers *h, uint8_t id_rule)
{
	const uint8_t *packet = packet_at(c, i);
	uint32_t payload = h->end - h->payload;

	c->next[run->last] = (uint8_t)i;
	run->last = (uint8_t)i;
	run->count++;
	run->payload_len += payload;
	run->next_seq += payload;
	run->id_rule = id_rule;
	if (h->version == 4)
		run->id = be16(packet + h->l3 + IPV4_ID);
	if (h->proto == PROTO_TCP)
		run->end_flags = packet[h->l4 + TCP_FLAGS] & (TCP_PSH | TCP_FIN);
	run->open = payload == run->gso_size && run->end_flags == 0;
}

static struct run *start_run(struct chunk *c, uint32_t i)
{
	struct run *run = &c->runs[c->runs_len++];

	memset(run, 0, sizeof(*run));
	run->first = run->last = (uint8_t)i;
	run->count = 1;
	return run;
}

/* Hot: once a packet. */
static void add_packet(struct chunk *c, uint32_t i)
{
	const uint8_t *packet = packet_at(c, i);
	uint32_t len = length_at(c, i), flow, stop = c->runs_len > LOOKUP ? c->runs_len - LOOKUP : 0;
	struct headers h;
	struct run *run;
	uint8_t allow, id_rule;

	if (c->allowed == 0 || !parse_headers(packet, len, c->medium, &h) || h.fragment) {
		/* It may belong to any flow. */
		for (uint32_t r = stop; r < c->runs_len; r++)
			c->runs[r].open = false;
		start_run(c, i);
		return;
	}
	flow = hash_flow(packet, &h);
	allow = mergeable_kind(packet, len, &h) & (uint8_t)c->allowed;
	for (uint32_t r = c->runs_len; r > stop; r--) {
		run = &c->runs[r - 1];
		if (!run->known || run->flow != flow || !same_flow(packet_at(c, run->first), &run->h, packet, &h))
			continue;
		if (run->open && allow && allow == run->allow && can_join(c, run, i, &h, &id_rule)) {
			join(c, run, i, &h, id_rule);
			return;
		}
		run->open = false;
		break;
	}
	run = start_run(c, i);
	run->known = true;
	run->flow = flow;
	run->h = h;
	run->allow = allow;
	run->payload_len = h.end - h.payload;
	run->gso_size = (uint16_t)run->payload_len;
	if (h.proto == PROTO_TCP) {
		run->next_seq = be32(packet + h.l4 + TCP_SEQ) + run->payload_len;
		run->end_flags = packet[h.l4 + TCP_FLAGS] & (TCP_PSH | TCP_FIN);
	}
	if (h.version == 4)
		run->id = be16(packet + h.l3 + IPV4_ID);
	run->open = allow != 0 && run->end_flags == 0;
}

bool fill_chunk(struct chunk *c, const struct bytes *pool, uint32_t *descriptors, uint32_t len)
{
	c->bytes = pool->data;
	c->descriptors = descriptors;
	c->len = len;
	c->runs_len = 0;
	memset(c->taken, 0, sizeof(c->taken));
	for (uint32_t i = 0; i < len; i++) {
		size_t offset = descriptors[(size_t)i * WORDS], packet_len = length_at(c, i);

		if (packet_len == 0)
			continue;
		if (offset > pool->len || packet_len > pool->len - offset)
			return false;
		add_packet(c, i);
	}
	return true;
}
