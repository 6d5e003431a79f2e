/* SPDX-License-Identifier: MIT
 *
 * Tells where a benchmark runs, which must be known to compare its figures with others.
 */
#ifndef MACHINE_H
#define MACHINE_H

struct machine_facts {
	char cpu[128];
	unsigned cpus; /* that the process may use */
	char kernel[160];
	const char *compiler;
	char libc[32];
	char allocator[128]; /* the file that malloc(3) comes from */
};

void machine_facts(struct machine_facts *facts);

#endif
