#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""declarations.py INCLUDE COMPILER...: prints the declarations of the headers as foreign function interfaces read them
(LuaJIT's ffi.cdef, Python's cffi): C without the preprocessor, without inline functions and attributes. Constants that
are macros are left out, and so are the headers that are about another library."""
import pathlib
import re
import subprocess
import sys
import tempfile

include = pathlib.Path(sys.argv[1])


def included(header):
    return re.findall(r"#include <(.*)>", header.read_text())


headers = [include / "defer_drop.h", *sorted((include / "defer_drop").glob("*.h"))]
# One that is about another library has the name of that one's header: uv.h.
headers = [header for header in headers if header.name not in included(header)]
others = {name for header in headers for name in included(header) if not name.startswith("defer_drop")}


def preprocess(*options):
    text = "".join(f"#include <{header.relative_to(include)}>\n" for header in headers)
    return subprocess.run([*sys.argv[2:], "-E", "-P", *options, "-I", include, "-x", "c", "-"], input=text,
                          capture_output=True, text=True, check=True).stdout


# Without what the other headers declare, which is empty here.
with tempfile.TemporaryDirectory() as folder:
    for name in others:
        file = pathlib.Path(folder) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    ours = preprocess("-nostdinc", "-I", folder)


def without_groups(text, beginning, opening, closing):
    """Removes each part that begins so, up to the end of its outermost brackets."""
    while found := re.search(beginning, text):
        at = text.index(opening, found.start())
        depth = 0
        for end in range(at, len(text)):
            depth += {opening: 1, closing: -1}.get(text[end], 0)
            if not depth:
                break
        text = text[:found.start()] + text[end + 1:]
    return text


def types_of_others(text):
    """Yields the definitions of types that our declarations use, and other headers define by the name of a type."""
    for name in sorted(set(re.findall(r"\b(?!u?int\d|size_t|ptrdiff_t|defer_drop)(\w+_t|FILE|DIR)\b", text))):
        found = re.search(rf"^typedef ([^;{{}}()]*?)\s*\b{name};", everything, re.M)
        if found:
            yield from types_of_others(found[1])
            yield found[0]


everything = preprocess()
ours = without_groups(ours, r"static inline ", "{", "}")
ours = without_groups(ours, r"__attribute__", "(", ")")
print("/* Made from the headers of defer_drop, which have the manual. SPDX-License-Identifier: MIT */")
print(*types_of_others(ours), sep="\n")
print(re.sub(r"(?m)^ (?=\S)|^ *\n", "", ours), end="")
