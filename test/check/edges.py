#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""edges.py FOLDER...: the tables of edges at the heads of the files agree with the marks in the code.

Every edge in a table has its release end marked NAME->: and its acquire end ->NAME: somewhere in the
folders (or both as NAME<->:, where one operation is both), every mark belongs to a table, and no name
is in two. A mark belongs to the next operation that is not relaxed, and each such operation has a mark.
"""
import pathlib
import re
import sys

MARK = re.compile(r"(?:->[A-Z]{3,}|[A-Z]{3,}(?:<->|->))(?=[:,. ])")
ORDER = re.compile(r"(?:memory_order_|__ATOMIC_)(?:acq_rel|acquire|release)", re.IGNORECASE)

tables = {}
marks = {}
failures = []
for path in sorted(path for folder in sys.argv[1:] for path in pathlib.Path(folder).rglob("*.[ch]")):
    text = path.read_text()
    head, _, body = text.partition("*/")
    if "Edges:" in head:
        for name in re.findall(r"^ \*   ([A-Z]+) ", head.partition("Edges:")[2], re.M):
            if name in tables:
                failures.append(f"{name}: in the tables of {tables[name]} and of {path.name}")
            tables[name] = path.name
    for before, name, after in re.findall(r"(->|\b)([A-Z]{3,})(<->|->|\b)", body):
        if before == "->":
            marks.setdefault(name, set()).add("acquire")
        if after == "->":
            marks.setdefault(name, set()).add("release")
        if after == "<->":
            marks.setdefault(name, set()).update(("acquire", "release"))
    marked = {order.start() for mark in MARK.finditer(body) if (order := ORDER.search(body, mark.end()))}
    for order in ORDER.finditer(body):
        if order.start() not in marked:
            line = text.count("\n", 0, len(text) - len(body) + order.start()) + 1
            failures.append(f"{path.name}:{line}: {order.group()} without a mark")

failures += [f"{name}: marked, but in no table" for name in marks if name not in tables]
for name, path in tables.items():
    for end in {"acquire", "release"} - marks.get(name, set()):
        failures.append(f"{name}: in the table of {path}, but its {end} end is not marked")
if not tables:
    failures.append("no table found")
print("\n".join(failures) or f"{len(tables)} edges, each marked at both ends")
sys.exit(bool(failures))
