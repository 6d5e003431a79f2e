#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""readme.py README EXAMPLE OPTIONS FORERUNNERS CONFIG: the README is short, has its sections in the order in which a
reader asks, names the packages that tools/demo needs and the version, and shows an example of twenty lines, which is
compiled and run; its other fragments compile, and all names of the library that it has exist. The README of lib names
the options of a build. Each link of a README leads somewhere. forerunners.md, beside FORERUNNERS, names a test for each
thing that a forerunner can do, and no such test is left out. The README of bench names every benchmark, that of its server every way to destroy and every option, that of test every folder."""
import os
import pathlib
import re
import subprocess
import sys

MOST_BYTES = 12 * 1024
MOST_LINES = 200
SECTIONS = ["When to use it, and when not", "Install", "Twenty lines", "What is guaranteed", "Five traps",
            "What else there is", "How it is checked", "Where things are", "Versions, contributing, license"]

readme, example, options, forerunners, config = (pathlib.Path(path) for path in sys.argv[1:6])
root = readme.parent
table = forerunners.with_suffix(".md")
text = readme.read_text()
public = "".join(header.read_text() for header in sorted((root / "include").rglob("*.h*")))
builders = (root / "lib/README.md").read_text()
cmake = (root / "lib/defer_drop-config.cmake.in").read_text()
failures = []


def want(holds, failure):
    if not holds:
        failures.append(failure)


# ---- What there is, named as it is ------------------------------------------------------------------

want(len(text.encode()) <= MOST_BYTES, f"the README has more than {MOST_BYTES} bytes")
want(len(text.splitlines()) <= MOST_LINES, f"the README has more than {MOST_LINES} lines")
want(re.findall(r"^## (.*)", text, re.M) == SECTIONS, "the sections of the README are others, or in another order")
want(len(re.findall(r"^\d+\. ", text, re.M)) == 5, "the README has not five traps")
for command in ["./tools/demo", "./tools/test"]:
    want(re.search(rf"^ {{4}}{command} ", text, re.M), f"the README does not name {command}")
needed = re.search(r"^need (.*?)( >&2)?$", (root / "tools/demo").read_text(), re.M).group(1).split()
installed = re.search(r"apt-get install (.*)", text).group(1).split()
want(installed == needed, f"the README installs {installed}, and tools/demo needs {needed}")
version = re.search(r"^  version: '((\d+\.\d+)\.\d+)'", (root / "meson.build").read_text(), re.M)
for soname in re.findall(r"libdefer_drop\.so\.([\d.]*\d)", text):
    want(soname == version.group(2), f"the README names libdefer_drop.so.{soname}")
for name in re.findall(r"^option\('(\w+)'", options.read_text(), re.M):
    want(f"`{name}`" in builders, f"the README of lib does not explain the option {name}")
fields = re.findall(r"\bFIELD\((\w+)\), DD_(?!POINTER)", config.read_text())
want(len(fields) > 10, "the options of the configuration are not found")
for tuned in re.findall(r"`DEFER_DROP_OPTIONS=(\S+)`", text):
    for name in re.findall(r"(\w+)=", tuned):
        want(name in fields, f"the README tunes {name}, which the environment cannot")
for page in (readme, table):
    named = re.findall(r"\b(?:defer_drop|DEFER_DROP)_\w+", page.read_text())
    if page == readme:
        named += re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)
    for name in sorted(set(named)):
        want(re.search(rf"\b{name}\b", public + cmake), f"{page.name} names {name}, which no header has")

# ---- Examples ---------------------------------------------------------------------------------------

want(len(example.read_text().splitlines()) == 20, "the example of the README has not twenty lines")
want(f"```c\n{example.read_text()}```" in text, "the example in the README is not the one that is tested")
for fragment in re.findall(r"^```c\n(.*?)^```", text, re.M | re.S):
    if "int main" in fragment:
        continue
    program = f"#include <defer_drop.h>\nvoid fragment(void);\nvoid fragment(void)\n{{\n{fragment}}}\n"
    compiled = subprocess.run(
        [os.environ.get("CC", "cc"), "-x", "c", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", root / "include", "-"],
        input=program, capture_output=True, text=True,
    )
    want(not compiled.returncode, f"a fragment of the README does not compile:\n{compiled.stderr}")

# ---- Links ------------------------------------------------------------------------------------------


def anchors_of(page):
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


pages = [readme, table, *sorted(root.glob("[a-z]*/README.md"))]
for page in pages:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        where = page.relative_to(root)
        want(target.exists(), f"{where} links to {path}, which is not there")
        if anchor and target.exists():
            want(anchor in anchors_of(target), f"{where} links to {link}, which has no such heading")

# ---- Forerunners ------------------------------------------------------------------------------------

section = table.read_text().partition("## Coming from Rust")[2].partition("\n## ")[0]
named = set(re.findall(r"\| `(\w+\.\w+)` \|$", section, re.M))
tested = {f"{suite}.{name}" for suite, name in re.findall(r"^Test\((\w+), (\w+)", forerunners.read_text(), re.M)}
want(tested, "the tests of forerunners are not found")
failures += [f"no test {name}, which {table.name} names" for name in sorted(named - tested)]
failures += [f"{table.name} does not name the test {name}" for name in sorted(tested - named)]

# ---- Benchmarks -------------------------------------------------------------------------------------

bench = root / "bench"
server = bench / "server"


def names(folder, pattern, files):
    found = [name for path in sorted(folder.glob(files)) for name in re.findall(pattern, path.read_text(), re.M)]
    want(found, f"{folder / files}: no {pattern}")
    return found


def check_names(document, wanted):
    for name in wanted:
        want(f"`{name}`" in document.read_text(), f"{document} does not explain {name}")


declared = r"'(\w+)': executable\("
check_names(bench / "README.md", names(bench, declared, "meson.build") + names(server, declared, "meson.build"))
check_names(server / "README.md", names(server, r'\.name = "(\w+)"', "reclaim*.c")
            + ["--" + name for name in names(server, r'(?:\.name = |OPTIONS_NUMBER\(\s*)"([\w-]+)"', "options.c")])

# ---- Tests ------------------------------------------------------------------------------------------

tests = root / "test"
linked = {link.partition("/")[0] for link in re.findall(r"\]\(([^)]+)\)", (tests / "README.md").read_text())}
for path in sorted(tests.iterdir()):
    if path.is_dir() and not path.name.startswith((".", "__")):
        want(path.name in linked, f"the README of test does not link the folder {path.name}")

print("\n".join(failures))
sys.exit(bool(failures))
