#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tidy.py BUILD ROOT [FILE]...: clang-tidy finds none of the faults of .clang-tidy in the files that this build
compiles, or in these files alone. The models are left out: they include relacy, which is full of such faults."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

build, root, *chosen = map(pathlib.Path, sys.argv[1:])
if not shutil.which("clang-tidy"):
    print("not checked: there is no clang-tidy")
    sys.exit(77)
# Other versions have other checks, and would find other faults.
if not re.search(r"version 14\.", subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True).stdout):
    print("not checked: want clang-tidy 14")
    sys.exit(77)


def sources():
    for command in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(command["directory"], command["file"]).resolve()
        if path.is_relative_to(root.resolve()) and "model" not in path.parts and path.exists():
            yield path


def tidy(path, *options):
    ran = subprocess.run(["clang-tidy", "--quiet", *(options or ["-p", build]), path], capture_output=True, text=True)
    return ran.stdout if ran.returncode else ""


# The control: a fault that must be found.
with tempfile.NamedTemporaryFile("w", suffix=".c") as control:
    control.write("int f(int a);\nint f(int a)\n{\n\treturn a == 1 || a == 1;\n}\n")
    control.flush()
    if "misc-redundant-expression" not in tidy(control.name, f"--config-file={root / '.clang-tidy'}"):
        sys.exit("clang-tidy does not find the fault of the control")
wanted = sorted({*sources()} & {path.resolve() for path in chosen} if chosen else {*sources()})
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    found = [text for text in pool.map(tidy, wanted) if text]
print("\n".join(found))
print(f"{len(wanted)} files, {len(found)} with faults")
sys.exit(bool(found))
