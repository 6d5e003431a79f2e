#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""storeys.py LIB ARCHIVE: lib is built in storeys, each of which knows only itself and those below it, and no
files of lib need each other in a circle. LIB: the folder. ARCHIVE: the library's objects, whose symbols show which
file needs which. LIB's README names every storey, from the lowest to the highest, and every file."""
import collections
import os
import pathlib
import re
import subprocess
import sys

lib = pathlib.Path(sys.argv[1])
text = (lib / "README.md").read_text()
storeys = re.findall(r"^\| `(\w+)` \|", text.partition("## Storeys")[2].partition("\n## ")[0], re.M)
files = {str(path.relative_to(lib)): path for path in lib.rglob("*.[ch]")}
failures = []

# ---- Includes go down -------------------------------------------------------------------------------

folders = {name.partition("/")[0] for name in files}
if set(storeys) != folders:
    failures.append(f"storeys {storeys} in {lib / 'README.md'}, folders {sorted(folders)} in {lib}")
height = {storey: number for number, storey in enumerate(storeys)}
for name, path in sorted(files.items()):
    for line, included in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'#include "(.*)"', included)
        if not found or found[1] not in files:
            continue
        below = found[1].partition("/")[0]
        if height.get(below, 0) > height.get(name.partition("/")[0], 0):
            failures.append(f"{path}:{line}: {name} includes {found[1]}, which is on a higher storey")

# ---- No circles -------------------------------------------------------------------------------------

defined = {}
needed = collections.defaultdict(set)
symbols = subprocess.run([os.environ.get("NM", "nm"), "-A", sys.argv[2]], capture_output=True, text=True, check=True)
for line in symbols.stdout.splitlines():
    member, symbol = re.match(r".*?([\w.]+\.o):(.*)", line).groups()
    *_, kind, symbol = symbol.split()
    if kind == "U":
        needed[member].add(symbol)
    elif kind.isupper():
        defined[symbol] = member
uses = {member: {defined[symbol] for symbol in needed[member] if symbol in defined} - {member} for member in needed}


def circle_through(member):
    """The shortest way from a member back to itself."""
    ways = collections.deque([[member]])
    seen = set()
    while ways:
        way = ways.popleft()
        for used in uses.get(way[-1], ()):
            if used == member:
                return way + [member]
            if used not in seen:
                seen.add(used)
                ways.append(way + [used])
    return None


if len(defined) < 50:
    failures.append(f"{sys.argv[2]}: only {len(defined)} symbols")
circles = [circle for member in sorted(uses) if (circle := circle_through(member))]
failures += ["a circle of files: " + " needs ".join(circle) for circle in circles[:1]]

# ---- The map ----------------------------------------------------------------------------------------

named = {name for name in re.findall(r"`(\w+/\w+\.[ch])`", text) if name.partition("/")[0] in folders}
for stem in re.findall(r"`(\w+/\w+)\.\[ch\]`", text):
    named |= {f"{stem}.{end}" for end in "ch"}
failures += [f"{lib / 'README.md'} does not name {name}" for name in sorted(files.keys() - named)]
failures += [f"{lib / 'README.md'} names {name}, which is not there" for name in sorted(named - files.keys())]

print("\n".join(failures) or f"{len(files)} files on {len(storeys)} storeys")
sys.exit(bool(failures))
