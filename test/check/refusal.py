#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""refusal.py PROGRAM: a program refuses options that it cannot use, with one line that names the bad value, and
exit status 2."""
import re
import subprocess
import sys

NO_NUMBERS = "", "-1", "1x", "99999999999999999999"


def run(program, *arguments):
    return subprocess.run([*program, *arguments], capture_output=True, text=True, check=False)


def bad_arguments(help_text):
    """Returns lists of arguments, each with the bad one last."""
    for option in re.findall(r"^  (--[\w-]+) (?:N|BYTES)", help_text, re.M):
        yield from ([option, value] for value in NO_NUMBERS)
    for option, least, most in re.findall(r"^  (--[\w-]+) .*(?:\n {21}.*)*?a power of two in (\d+)\.\.(\d+)",
                                          help_text, re.M):
        yield from ([option, value] for value in (str(int(least) + 1), str(int(most) * 2)))
    for option in re.findall(r"^  (--[\w-]+) WAY", help_text, re.M):
        yield [option, "no-such-way"]
    yield ["--no-such-option"]
    if "--json FILE" in help_text:
        yield ["--json", "/no/such/folder"]
    if "[PATH]" not in help_text:
        yield ["argument"]


def find_accepted(program):
    """Returns a line for each list of bad arguments that is not refused as it should be."""
    helped = run(program, "--help")
    failures = []
    if helped.returncode or not helped.stdout.startswith("usage: "):
        failures.append(f"--help: {helped.returncode}")
    for arguments in bad_arguments(helped.stdout):
        ran = run(program, *arguments)
        if (ran.returncode != 2 or ran.stderr.count("\n") != 1 or arguments[-1] not in ran.stderr or ran.stdout):
            failures.append(f"{arguments}: {ran.returncode} {ran.stdout}{ran.stderr}")
    return failures


if __name__ == "__main__":
    found = find_accepted(sys.argv[1:])
    print("\n".join(found))
    sys.exit(bool(found))
