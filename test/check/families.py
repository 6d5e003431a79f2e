#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""families.py MAP INCLUDE_FOLDER: the table of calls by family at the head of defer_drop.h lists every symbol
that is exported and every call that is inline, and nothing else. Not listed are helpers of inline calls."""
import pathlib
import re
import sys

HELPERS = {"defer_drop_ref_misused", "defer_drop_ref_put_last",
           *(f"defer_drop_strategy_loop_{name}" for name in ("drop", "now_ns", "drain_until", "wait", "create")),
           "defer_drop_uv_work_run", "defer_drop_uv_work_end",
           "defer_drop_strategy_uv_drain", "defer_drop_strategy_uv_closed", "defer_drop_strategy_glib_drain"}

exported = set(re.findall(r"^\t(defer_drop\w*);", pathlib.Path(sys.argv[1]).read_text(), re.M))
folder = pathlib.Path(sys.argv[2])
headers = [folder / "defer_drop.h", *sorted((folder / "defer_drop").glob("*.h"))]
texts = [header.read_text() for header in headers]
inline = {name for text in texts for name in re.findall(r"^static inline [^(]*?\b(defer_drop\w*)\(", text, re.M)}
table = texts[0].partition("All calls, by family.")[2].partition("The rules of all calls:")[0]

listed = []
noun = ""
for line in re.findall(r"^ \*   (\S.*| {2}\S.*)$", table, re.M):
    calls = re.split(r" {2,}|(?<=_init) (?=\w+:)", line.strip())[0]
    for name in re.findall(r"(?<!<)\bdefer_drop\w*|(?<![\w/])_\w+", calls):
        if name.startswith("defer_drop"):
            found = re.match(r"defer_drop_(config|queue|group|ticket|completion|report|strategy|trace|stats|guard|trouble|ref|pool|classes|os)_", name)
            noun = found.group(0)[:-1] if found else "defer_drop"
            listed.append(name)
        else:
            listed.append(noun + name)

wanted = (exported | inline) - HELPERS
failures = [f"{name} is not in the table of calls" for name in sorted(wanted - set(listed))]
failures += [f"{name} is in the table of calls, and nowhere else" for name in sorted(set(listed) - wanted)]
failures += [f"{name} is in the table of calls twice" for name in sorted({n for n in listed if listed.count(n) > 1})]
if len(listed) < 20:
    failures.append("the table of calls is not found")
print("\n".join(failures) or f"{len(listed)} calls")
sys.exit(bool(failures))
