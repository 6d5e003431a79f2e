/* SPDX-License-Identifier: MIT
 *
 * What the fuzzed programs share: an input that is read byte by byte, and goes on with zeros.
 *
 * Each has the entry point of libFuzzer's. It is built in two ways: with replay.c, as a test that
 * goes through a corpus and through random inputs; and, with clang, as a fuzzer:
 *
 *     ninja -C BUILD fuzz
 *     BUILD/test/fuzz_NAME.run -max_len=512 NEW_INPUTS test/fuzz/corpus/NAME
 *
 * What it finds goes to the corpus, after -merge=1 and -minimize_crash=1.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "../common/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct input {
	const uint8_t *at;
	const uint8_t *end;
};

static inline uint8_t take_byte(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static inline uint64_t take_bytes(struct input *input, unsigned count)
{
	uint64_t value = 0;

	while (count--)
		value = value << 8 | take_byte(input);
	return value;
}

/* 0 below the bound, which is at most 256. */
static inline unsigned take_below(struct input *input, unsigned bound)
{
	return take_byte(input) % bound;
}

#endif
