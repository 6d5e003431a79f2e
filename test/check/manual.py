#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""manual.py INCLUDE SHARED: the manual that tools/manual.py makes has a page for every symbol that the library exports
and for every inline call of a header; mandoc and man find nothing to warn of; each link of the HTML leads somewhere."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root = pathlib.Path(sys.argv[1]).resolve().parent
failures = []


def output_of(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


def wanted_calls():
    exported = re.findall(r" [TDRBV] (defer_drop\w*)", output_of("nm", "--dynamic", "--defined-only", sys.argv[2]))
    headers = [root / "include/defer_drop.h", *(root / "include/defer_drop").glob("*.h")]
    # What the library's own inline calls need is no call of a user's, and has no comment.
    inline = [name for header in headers for name in
              re.findall(r"\*/\nstatic inline [^(]*?\b(defer_drop\w*)\(", header.read_text())]
    return {*exported, *inline}


def lint(pages):
    if shutil.which("mandoc"):
        checked = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True)
        failures.extend(checked.stdout.splitlines())
    else:
        print("not checked by mandoc, which is not installed")
    if shutil.which("man"):
        for page in pages:
            shown = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
                                   capture_output=True, text=True, env={**os.environ, "MANWIDTH": "100"})
            failures.extend(f"{page.name}: {line}" for line in shown.stderr.splitlines())


def check_links(folder):
    for file in folder.glob("*.html"):
        text = file.read_text()
        for target, anchor in re.findall(r'href="([^"#:]*)(?:#([^"]*))?"', text):
            other = folder / target if target else file
            if not other.exists():
                failures.append(f"{file.name} links to {target}, which is not there")
            elif anchor and f'id="{anchor}"' not in other.read_text():
                failures.append(f"{file.name} links to {target}#{anchor}, which is not there")


with tempfile.TemporaryDirectory() as made:
    made = pathlib.Path(made)
    mandoc = shutil.which("mandoc")
    making = subprocess.run([sys.executable, root / "tools/manual.py", root, made, *([mandoc] if mandoc else [])],
                            capture_output=True, text=True)
    if making.returncode or making.stderr:
        sys.exit(making.stderr)
    here = {page.stem for page in (made / "man3").iterdir()}
    calls = wanted_calls()
    if len(calls) < 50:
        failures.append(f"{len(calls)} calls found, which cannot be all")
    failures += [f"no page for {name}" for name in sorted(calls - here)]
    pages = sorted([*made.glob("man?/*"), *root.glob("lib/*/*.1")])
    lint([page for page in pages if not page.read_text().startswith(".so ")])
    if mandoc:
        check_links(made / "html")
print("\n".join(failures) or f"{len(calls)} calls, {len(here)} pages of section 3")
sys.exit(bool(failures))
