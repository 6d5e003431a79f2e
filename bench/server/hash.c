/* SPDX-License-Identifier: MIT
 *
 * SipHash-1-3 with a seed that is random in each process.
 */
#include "hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static uint64_t seed[2];

int hash_seed(void)
{
	return getrandom(seed, sizeof seed, 0) == sizeof seed ? 0 : -errno;
}

static uint64_t rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static void mix(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void add(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	mix(v);
	v[0] ^= word;
}

uint64_t hash(const void *bytes, size_t count)
{
	const char *at = bytes;
	uint64_t last = (uint64_t)count << 56;
	uint64_t word;
	uint64_t v[4] = {
		seed[0] ^ UINT64_C(0x736f6d6570736575),
		seed[1] ^ UINT64_C(0x646f72616e646f6d),
		seed[0] ^ UINT64_C(0x6c7967656e657261),
		seed[1] ^ UINT64_C(0x7465646279746573),
	};

	for (; count >= sizeof word; count -= sizeof word, at += sizeof word) {
		memcpy(&word, at, sizeof word);
		add(v, word);
	}
	word = 0;
	memcpy(&word, at, count);
	add(v, last | word);
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 3; i++)
		mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
