#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mutate.py COMPILER LIB INCLUDE MODEL...: every ordering and every step that matters is checked.

Weakens, one at a time, each end of each ordering edge that is marked in ring.h and park.h, and leaves out
steps of the protocols; each such mutant must make one of the models fail. Lists mutants and who caught
them; exit status 1 where one survives.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

compiler, lib, include, *models = sys.argv[1:]
FILES = ("ring.h", "park.h")

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
    ("park.h", "announce without membarrier", "dd_membarrier();", ";"),
    ("park.h", "heed without a fence", "atomic_signal_fence(memory_order_seq_cst);", ""),
    ("park.h", "sleep through a ring",
     "atomic_compare_exchange_strong_explicit(bell, &awake, DD_BELL_NAPPING, memory_order_acq_rel,\n\t\t    memory_order_relaxed)",
     "(atomic_store_explicit(bell, DD_BELL_NAPPING, memory_order_relaxed), awake == DD_BELL_AWAKE)"),
    ("park.h", "a ring that leaves no mark",
     "atomic_exchange_explicit(bell, DD_BELL_RUNG", "atomic_exchange_explicit(bell, DD_BELL_AWAKE"),
]


def edge_mutants(name, text):
    """One mutant for each mark: the next ordering after it becomes relaxed."""
    body = text.index("*/")
    for mark in re.finditer(r"(->[A-Z]{3,}|[A-Z]{3,}(?:<->|->))(?=[:,. ])", text[body:]):
        order = re.compile(r"memory_order_(acq_rel|acquire|release)").search(text, body + mark.end())
        label = f"{name}:{text.count(chr(10), 0, order.start()) + 1} {mark.group(1)} {order.group(1)}"
        yield label, text[:order.start()] + "memory_order_relaxed" + text[order.end():]


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
    survivors = 0
    for name, label, changed in mutants:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for shimmed in ("atomic.h", "futex.h"):
                (folder / shimmed).write_text("")
            for other in FILES:
                (folder / other).write_text(changed if other == name else texts[other])
            caught = next((model for model in models if catches(folder, model)), None)
        print(f"{label}: {'caught by ' + pathlib.Path(caught).stem if caught else 'SURVIVES'}", flush=True)
        survivors += not caught
    print(f"{len(mutants)} mutants, {survivors} survive")
    return survivors > 0


sys.exit(main())
