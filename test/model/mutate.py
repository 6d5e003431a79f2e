#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mutate.py COMPILER LIB INCLUDE MODEL...: every ordering and every step that matters is checked.

Weakens, one at a time, each end of each ordering edge that is marked in the files that the models include
unchanged, and leaves out steps of the protocols; each such mutant must make one of the models fail. Lists
mutants and who caught them; exit status 1 where one survives.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

compiler, lib, include, *models = sys.argv[1:]
# The files, and what a model that checks one mentions.
FILES = {
    "ring.h": "dd_ring_",
    "park.h": "dd_announce",
    "completion.h": "completion.h",
    "budget.h": "budget.h",
    "budget.c": "budget.c",
}
# Those in whose place the models have their own.
SHIMMED = ("atomic.h", "futex.h", "queue.h")

# A step left out: file, name, what stands there, what stands there instead.
STEPS = [
    ("ring.h", "a drop is cleared before its destructor runs",
     "dd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);",
     "atomic_store_explicit(&ring->taken_from[dd_plain_load(&ring->cursor) & ring->taken_mask].destroy, (defer_drop_fn)NULL, memory_order_release);\n\tdd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);"),
    ("ring.h", "what is taken on a closed ring is not marked",
     "atomic_exchange_explicit(&slot->destroy, DD_TAKEN, memory_order_acquire)",
     "atomic_load_explicit(&slot->destroy, memory_order_acquire)"),
    ("ring.h", "taken while open is not contested",
     "if (dd_is_before(at, dd_plain_load(&ring->contested_from)))", "if (false)"),
    ("ring.h", "head runs ahead of the destructor",
     "dd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);",
     "dd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);\n\tatomic_store_explicit(&ring->head, dd_plain_load(&ring->cursor), memory_order_release);"),
    ("ring.h", "a waiter believes the slot alone",
     "return !dd_is_before(atomic_load_explicit(&ring->limit", "return false && !dd_is_before(atomic_load_explicit(&ring->limit"),
    ("ring.h", "a take that loses is not noticed",
     "DD_TAKEN, memory_order_acquire);\n\tif (!drop->destroy)\n\t\treturn false;",
     "DD_TAKEN, memory_order_acquire);"),
    ("ring.h", "a second slot is not marked",
     "dd_tagged(drop->destroy, DD_SECOND)", "drop->destroy"),
    ("ring.h", "a second slot is taken alone", "!word || dd_is_second(word)", "!word"),
    ("ring.h", "the first slot is published before the second",
     "dd_plain_store(&second->object, drop->object);",
     "dd_ring_publish(ring, at, options->completion, dd_options_word(options));\n\tdd_plain_store(&second->object, drop->object);"),
    ("ring.h", "the second slot is cleared before the first",
     "atomic_store_explicit(&ring->taken_from[(next - 2) & ring->taken_mask].destroy, (defer_drop_fn)NULL, memory_order_release);\n\tdd_ring_done(ring);",
     "atomic_store_explicit(&ring->taken_from[(next - 1) & ring->taken_mask].destroy, (defer_drop_fn)NULL, memory_order_release);\n\tatomic_store_explicit(&ring->taken_from[(next - 2) & ring->taken_mask].destroy, (defer_drop_fn)NULL, memory_order_release);\n\tif (!(next & (ring->batch - 1)))\n\t\tdd_ring_recycle(ring);"),
    ("ring.h", "a claim of two looks for room for one",
     "while (!dd_ring_has_room(ring, *at + width - 1))", "while (!dd_ring_has_room(ring, *at))"),
    ("park.h", "announce without membarrier", "dd_membarrier();", ";"),
    ("park.h", "heed without a fence", "atomic_signal_fence(memory_order_seq_cst);", ""),
    ("park.h", "sleep through a ring",
     "atomic_compare_exchange_strong_explicit(bell, &awake, DD_BELL_NAPPING, memory_order_acq_rel,\n\t\t    memory_order_relaxed)",
     "(atomic_store_explicit(bell, DD_BELL_NAPPING, memory_order_relaxed), awake == DD_BELL_AWAKE)"),
    ("park.h", "a ring that leaves no mark",
     "atomic_fetch_or_explicit(bell, DD_BELL_RUNG", "atomic_fetch_or_explicit(bell, DD_BELL_AWAKE"),
    ("completion.h", "a completion in use is used",
     "if (state != DD_COMPLETION_UNUSED && state != DD_COMPLETION_OVER)\n\t\t\treturn false;", ""),
    ("completion.h", "the last status is kept",
     "if (status && !dd_plain_load(&completion->status))", "if (status)"),
    ("completion.h", "who counts before the last ends it",
     "drops, memory_order_acq_rel) == drops", "drops, memory_order_acq_rel) <= drops + 1"),
    ("completion.h", "an eventfd is written to while it looks pending",
     "DD_COMPLETION_TOLD - DD_COMPLETION_PENDING", "0"),
    ("completion.h", "telling forgets who waits",
     "atomic_fetch_add_explicit(&completion->state, DD_COMPLETION_TOLD - DD_COMPLETION_PENDING, memory_order_relaxed)",
     "atomic_store_explicit(&completion->state, DD_COMPLETION_TOLD, memory_order_relaxed)"),
    ("completion.h", "the end forgets who waits",
     "memory_order_release) & DD_COMPLETION_WAITED", "memory_order_release) & 0"),
    ("completion.h", "who asks to be woken leaves no mark",
     "state | DD_COMPLETION_WAITED, memory_order_relaxed, memory_order_relaxed",
     "state, memory_order_relaxed, memory_order_relaxed"),
    ("budget.h", "bytes beyond the budget are taken",
     "!pending || pending + bytes <= budget->max_bytes", "true"),
    ("budget.h", "one drop alone is not admitted",
     "!pending || pending + bytes <= budget->max_bytes", "pending + bytes <= budget->max_bytes"),
    ("budget.h", "who gives back does not see who waits",
     "memory_order_relaxed) & DD_BUDGET_WAITED;\n}\n\n#endif", "memory_order_relaxed) & 0;\n}\n\n#endif"),
    ("budget.c", "who waits leaves no mark",
     "atomic_fetch_or_explicit(&queue->budget.pending_bytes, DD_BUDGET_WAITED, memory_order_relaxed);", ""),
    ("budget.c", "who waits does not look once more",
     "serve(&queue->budget); /* bytes given back", "/* bytes given back"),
    ("budget.c", "who leaves keeps those behind waiting",
     "serve(&queue->budget); /* those behind", "/* those behind"),
    ("budget.c", "who is served takes nothing",
     "dd_budget_add(budget, budget->first->bytes);", ""),
    ("budget.c", "who waits is not told that the consumer has finished",
     "is_open = dd_queue_state(queue) < DD_FINISHED;", "is_open = true;"),
    ("budget.c", "who was served while late counts as late",
     "dd_sleeper_wait(&self.sleeper, deadline_ns) == -ETIMEDOUT && has_left(queue, &self)",
     "dd_sleeper_wait(&self.sleeper, deadline_ns) == -ETIMEDOUT && (has_left(queue, &self), true)"),
]


def without_end(order, mark):
    if order.group(1) != "acq_rel" or "<->" in mark.group(1):
        return "relaxed"
    return "release" if mark.group(1).startswith("->") else "acquire"


def edge_mutants(name, text):
    """One mutant for each mark: the next ordering after it loses this end."""
    body = text.index("*/")
    for mark in re.finditer(r"(->[A-Z]{3,}|[A-Z]{3,}(?:<->|->))(?=[:,. ])", text[body:]):
        order = re.compile(r"memory_order_(acq_rel|acquire|release)").search(text, body + mark.end())
        label = f"{name}:{text.count(chr(10), 0, order.start()) + 1} {mark.group(1)} {order.group(1)}"
        yield label, text[:order.start()] + "memory_order_" + without_end(order, mark) + text[order.end():]


def step_mutants(texts):
    for name, label, old, new in STEPS:
        squeezed = r"\s*".join(re.escape(token) for token in re.findall(r"\w+|\S", old))
        changed, count = re.subn(squeezed, lambda _: new, texts[name], count=1)
        if not count:
            sys.exit(f"mutate: {name}: nothing to leave out for: {label}")
        yield name, f"{name} {label}", changed


def catches(folder, model):
    program = folder / "model"
    command = [compiler, "-std=c++17", "-O1", "-w", "-fpermissive", "-I", folder, "-I", include,
               "-I", pathlib.Path(model).parent, model, "-o", program]
    subprocess.run(command, check=True)
    try:
        return subprocess.run([program], capture_output=True, timeout=300).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def main():
    texts = {name: (pathlib.Path(lib) / name).read_text() for name in FILES}
    mutants = [(name, *mutant) for name in FILES for mutant in edge_mutants(name, texts[name])]
    mutants += step_mutants(texts)
    checking = {name: [model for model in models if mention in pathlib.Path(model).read_text()]
                for name, mention in FILES.items()}
    survivors = 0
    for name, label, changed in mutants:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for shimmed in SHIMMED:
                (folder / shimmed).write_text("")
            for other in FILES:
                (folder / other).write_text(changed if other == name else texts[other])
            caught = next((model for model in checking[name] if catches(folder, model)), None)
        print(f"{label}: {'caught by ' + pathlib.Path(caught).stem if caught else 'SURVIVES'}", flush=True)
        survivors += not caught
    print(f"{len(mutants)} mutants, {survivors} survive")
    return survivors > 0


sys.exit(main())
