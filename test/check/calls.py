#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""calls.py HEADER: prints the system calls that the manual lists, as rows of a C table: when, name, number."""
import re
import sys

with open(sys.argv[1], encoding="utf-8") as header:
    text = header.read()
listed = re.search(r"^ \* System calls, .*?\n \*\n(.*?)^ \*$", text, re.M | re.S)
for when, names in re.findall(r"^ \*   (.*?): (.*)$", listed[1], re.M):
    for name in names.split(", "):
        print(f'#ifdef SYS_{name}\n\t{{"{when}", SYS_{name}}},\n#endif')
