#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""readme.py README EXAMPLE OPTIONS FORERUNNERS CONFIG BENCH: the README shows the example as it is compiled and
run, names every Meson option and every option of the configuration, and has a test for each thing that a forerunner
can, and no such test is left out. The README of BENCH names every benchmark, and that of its server every way to
destroy and every option. Links of all three lead to files."""
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
bench = pathlib.Path(sys.argv[6])
server = bench / "server"


def names(folder, pattern, files):
    found = [name for path in sorted(folder.glob(files)) for name in re.findall(pattern, path.read_text(), re.M)]
    if not found:
        failures.append(f"{folder / files}: no {pattern}")
    return found


def check_names(document, wanted):
    text = document.read_text()
    failures.extend(f"{document} does not explain {name}" for name in wanted if f"`{name}`" not in text)


def check_links(document):
    for link in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if ":" not in link and not (document.parent / link).exists():
            failures.append(f"{document}: there is no {link}")


declared = r"'(\w+)': executable\("
check_names(bench / "README.md", names(bench, declared, "meson.build") + names(server, declared, "meson.build"))
check_names(server / "README.md", names(server, r'\.name = "(\w+)"', "reclaim*.c")
            + ["--" + name for name in names(server, r'(?:\.name = |OPTIONS_NUMBER\(\s*)"([\w-]+)"', "options.c")])
for path in sys.argv[1], bench / "README.md", server / "README.md":
    check_links(pathlib.Path(path))
print("\n".join(failures))
sys.exit(bool(failures))
