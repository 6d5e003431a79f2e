#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""heads.py FOLDER...: each C and C++ file below the folders opens with the licence and at least one sentence that
says what it is for. Examples are read without the licence, and may have the sentence alone."""
import pathlib
import re
import sys

# Refused files open with the words that the compiler must say.
LEFT_OUT = {"refused"}
HEAD = re.compile(r"/\* [A-Z].*\. \*/\n|/\* SPDX-License-Identifier: MIT\n \*\n( \*[^\n]*\n)*? \*[^\n]*[.:]( \*/)?\n"
                  r"|// SPDX-License-Identifier: MIT\n//\n(//[^\n]*\n)*?//[^\n]*[.:]\n")

failures = []
for path in sorted(path for folder in sys.argv[1:] for path in pathlib.Path(folder).rglob("*")):
    if path.suffix in {".c", ".h", ".cpp", ".hpp"} and not LEFT_OUT & {*path.parts}:
        if not HEAD.match(path.read_text()):
            failures.append(f"{path}: does not say at its head what it is for")
print("\n".join(failures))
sys.exit(bool(failures))
