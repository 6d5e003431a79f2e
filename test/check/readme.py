#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""readme.py README EXAMPLE OPTIONS: the README shows the example as it is compiled and run, and names
every Meson option."""
import pathlib
import re
import sys

readme, example, options = (pathlib.Path(path).read_text() for path in sys.argv[1:4])
failures = []
if f"```c\n{example}```" not in readme:
    failures.append("the example in the README is not the one that is tested")
for name in re.findall(r"^option\('(\w+)'", options, re.M):
    if f"`{name}`" not in readme:
        failures.append(f"the README does not explain the option {name}")
print("\n".join(failures))
sys.exit(bool(failures))
