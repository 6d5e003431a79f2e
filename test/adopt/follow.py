#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""follow.py ROOT prefix|machine: does what the README says, command by command, and nothing else; prints how long each
took. prefix: in a copy of the checkout, without root, as "With --prefix" says; packages are
there, and the two tools are left out, which the tests are run by. machine: on a Debian that debootstrap has just made,
as root, until a program runs."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
root = pathlib.Path(sys.argv[1])
text = (root / "README.md").read_text()
# What is indented, outside of programs, without the comments behind it. The picture is no command.
indented = re.findall(r"^ {4}(\S.*)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
commands = [line.split("  #")[0].strip() for line in indented if not re.match(r"your threads|defer_drop\(", line)]
program = re.search(r"^```c\n(.*?)^```", text, re.M | re.S).group(1)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def copy_to(folder):
    subprocess.run([root / "tools/copy.sh", root, folder], check=True)
    (folder / "first.c").write_text(program)


def follow(commands, run):
    began = time.monotonic()
    for command in commands:
        at = time.monotonic()
        ran = run(command)
        print(f"{time.monotonic() - at:7.1f} s  {command}", flush=True)
        if ran.returncode:
            print(ran.stdout)
            sys.exit(f"{command}: status {ran.returncode}")
        if "first &&" in command:
            print(f"{time.monotonic() - began:7.1f} s  to a program that runs")


def prefix_commands():
    """Without root: no packages, no ldconfig, and the prefix that the README names."""
    option = re.search(r"With `(--prefix=\S+)`", text).group(1)
    for command in commands:
        if command.startswith(("sudo apt-get ", "sudo ldconfig", "./tools/")):
            continue
        command = command.removeprefix("sudo ")
        yield f"{command} {option}" if command.startswith("meson setup") else command
    yield re.search(r"`sudo (ninja -C build uninstall)`", text).group(1)


def follow_prefix(folder):
    checkout = folder / "defer_drop"
    copy_to(checkout)
    prefix = folder / "home/.local"
    # The folders below it, whatever this system calls them.
    environment = {**os.environ, "HOME": str(folder / "home"),
                   "PKG_CONFIG_PATH": ":".join(str(prefix / name / "pkgconfig") for name in libdirs()),
                   "LD_LIBRARY_PATH": ":".join(str(prefix / name) for name in libdirs())}
    environment.pop("DEFER_DROP_OPTIONS", None)
    follow(prefix_commands(), lambda command: subprocess.run(
        ["sh", "-c", command], cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True))
    left = [path for path in prefix.rglob("*") if not path.is_dir()]
    if left:
        sys.exit(f"left after the uninstallation: {left}")


def libdirs():
    triplet = subprocess.run(["cc", "-dumpmachine"], capture_output=True, text=True, check=True).stdout.strip()
    return ["lib", "lib64", f"lib/{triplet.replace('-pc-', '-')}"]


def follow_machine(folder):
    if os.geteuid() or not shutil.which("debootstrap"):
        skip("it takes root and debootstrap")
    machine = folder / "machine"
    at = time.monotonic()
    made = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", machine], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if made.returncode:
        print(made.stdout[-3000:])
        skip("debootstrap cannot make a machine here")
    print(f"{time.monotonic() - at:7.1f} s  the machine itself", flush=True)
    copy_to(machine / "root/defer_drop")
    # Programs look at these, and apt-get asks for no answers.
    before = "mount -t proc proc /proc 2>/dev/null; export DEBIAN_FRONTEND=noninteractive; cd /root/defer_drop; "
    wanted = [command.removeprefix("sudo ").replace("apt-get install", "apt-get install -y")
              for command in commands if command != "./tools/test"]
    wanted = [command + (" --rounds 1" if command == "./tools/demo" else "") for command in wanted]
    follow(wanted, lambda command: subprocess.run(
        ["unshare", "--mount", "chroot", machine, "sh", "-c", before + command], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True))


with tempfile.TemporaryDirectory() as folder:
    {"prefix": follow_prefix, "machine": follow_machine}[sys.argv[2]](pathlib.Path(folder))
