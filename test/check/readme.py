#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""readme.py README EXAMPLE OPTIONS FORERUNNERS CONFIG TEST: the README shows the example as it is compiled and run,
names every Meson option and every option of the configuration, and has a test for each thing that a forerunner
can, and no such test is left out. That of the folder TEST links each folder of it, and what both link is there."""
import pathlib
import re
import sys

readme, example, options, forerunners, config = (pathlib.Path(path).read_text() for path in sys.argv[1:6])
failures = []
if f"```c\n{example}```" not in readme:
    failures.append("the example in the README is not the one that is tested")
for name in re.findall(r"^option\('(\w+)'", options, re.M):
    if f"`{name}`" not in readme:
        failures.append(f"the README does not explain the option {name}")
fields = re.findall(r"\bFIELD\((\w+)\), DD_(?!POINTER)", config)
rows = readme.partition("| name | values | built in |")[2].partition("\n\n")[0]
failures += [f"the README has no row for {name} of the configuration" for name in fields if f"`{name}`" not in rows]
if len(fields) < 10:
    failures.append("the options of the configuration are not found")
section = readme.partition("## Coming from Rust")[2].partition("\n## ")[0]
named = set(re.findall(r"\| `(\w+\.\w+)` \|$", section, re.M))
tested = {f"{suite}.{name}" for suite, name in re.findall(r"^Test\((\w+), (\w+)", forerunners, re.M)}
failures += [f"no test {name}, which the README names" for name in sorted(named - tested)]
failures += [f"the README does not name the test {name}" for name in sorted(tested - named)]
tests = pathlib.Path(sys.argv[6])
linked = {}
for path in pathlib.Path(sys.argv[1]), tests / "README.md":
    linked[path.parent] = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    failures += [f"{path} links {link}, which is not there" for link in linked[path.parent]
                 if not (path.parent / link).exists()]
folders = {path.name for path in tests.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))}
failures += [f"{tests}/README.md does not link the folder {name}"
             for name in sorted(folders - {link.partition("/")[0] for link in linked[tests]})]
print("\n".join(failures))
sys.exit(bool(failures))
