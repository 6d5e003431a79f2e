#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: MIT
"""run.py COMMAND: programs that nobody changes give the same under defer-drop run as without it, and bad input is
refused. Everything is deferred, however small; no time is checked."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

command = os.path.abspath(sys.argv[1])
EVERYTHING = ["--file-bytes=1", "--memory-bytes=4k"]
failures = []

# Does what the library stands before, and prints what a program can see of it.
SUBJECT = r"""
import errno, fcntl, mmap, os, subprocess, sys, tempfile, threading

def make(name, mib=1):
    with open(name, "wb") as file:
        file.write(b"x" * (mib << 20))

def error_of(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]

def descriptors():
    return sorted(os.listdir("/proc/self/fd"))

before = descriptors()
make("file")
print("unlink", os.unlink("file"), os.path.exists("file"), error_of(os.unlink, "file"))
make("file")
os.link("file", "other")
os.unlink("file")
print("linked", os.stat("other").st_size, os.stat("other").st_nlink)
make("file", 2)
os.rename("other", "file")
print("renamed", os.stat("file").st_size, error_of(os.rename, "none", "file"), error_of(os.rename, "file", "/proc"))
fd = os.open("file", os.O_RDWR)
twin = os.dup(fd)
os.unlink("file")
os.close(fd)
print("closed", error_of(os.close, fd), os.pread(twin, 1, 1000000), os.fstat(twin).st_nlink)
fcntl.flock(twin, fcntl.LOCK_EX)
os.close(twin)
with tempfile.TemporaryFile(dir=".") as temporary:
    temporary.write(b"y" * (1 << 20))
    temporary.seek(5)
    print("temporary", temporary.read(1))
print("nothing left", os.listdir("."))
print("directory", error_of(os.unlink, "/proc"), os.mkdir("folder"), os.rmdir("folder"))
mapped = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
mapped.write(b"z" * (64 << 20))
mapped.close()
big = bytearray(b"x") * (64 << 20)
del big[1 << 20:]
print("shrunk", len(big), bytes(big[-1:]))
del big
make("file", 64)
os.unlink("file")
print("descriptors", descriptors() == before)
print("child", subprocess.run(["sh", "-c", "ls /proc/self/fd | wc -l; exit 3"], capture_output=True, text=True))
pid = os.fork()
if not pid:
    make("forked")
    os.unlink("forked")
    os._exit(len(os.listdir("/proc/self/fd")) != len(before))
print("fork", os.waitpid(pid, 0)[1])
def work(number):
    for _ in range(50):
        make(f"thread{number}")
        os.unlink(f"thread{number}")
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("in the end", os.listdir("."))
sys.exit(5)
"""

# A process that makes a namespace of users must have one thread; what was dropped before must not matter.
NAMESPACE = r"""
import ctypes, os
open("file", "wb").write(b"x" * (1 << 20))
os.unlink("file")
big = bytearray(b"x") * (64 << 20)
del big
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), ctypes.get_errno())
"""

# A filter that allows only read, write, exit and a return from a handler kills for everything else.
FILTERED = r"""
import ctypes, os
open("file", "wb").write(b"x" * (1 << 20))
fd = os.open("file", os.O_RDWR)
os.unlink("file")
libc = ctypes.CDLL(None)
word = ctypes.c_char_p(b"filtered\n")
libc.prctl(22, 1)
libc.write(1, word, 9)
libc.syscall(60, 6)
"""


def expect(claim, what):
    if not claim:
        failures.append(what)


def run(*arguments, **options):
    return subprocess.run(arguments, capture_output=True, text=True, check=False, **options)


def both(what, *arguments, **options):
    """Runs a program without the command and with it, each in a new folder."""
    results = []
    for prefix in ([], [command, "run", *EVERYTHING, "--"]):
        with tempfile.TemporaryDirectory() as folder:
            ran = run(*prefix, *arguments, cwd=folder, **options)
            files = {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}
            results.append((ran.returncode, ran.stdout, ran.stderr, files))
    plain, deferred = results
    expect(plain == deferred, f"{what}: {plain[:3]} became {deferred[:3]}")


def check_refused(status, *arguments):
    ran = run(command, *arguments)
    expect(ran.returncode == status and ran.stderr.startswith("defer-drop: ") and ran.stderr.count("\n") == 1
           and not ran.stdout, f"{arguments}: {ran.returncode} {ran.stdout}{ran.stderr}")


def check_refusals(folder):
    for arguments in ([], ["walk"], ["run"], ["run", "--"], ["run", "--no-such-option", "true"], ["run", "--defer"],
                      ["run", "--defer=", "true"], ["run", "--defer=close+", "true"], ["run", "--rate=0", "true"],
                      ["run", "--file-bytes=1x", "true"], ["run", "--max-bytes=99999999999999999999", "true"],
                      ["run", "--slice-bytes=4095", "true"], ["run", "--exit=soon", "true"],
                      ["run", "--children=maybe", "true"], ["run", "--report=" + "x" * 256, "true"],
                      ["run", "--report=a,b", "true"]):
        check_refused(2, *arguments)
    for program in "", "no-such-program", "/no/such/program", f"{folder}/none":
        check_refused(127, "run", program)
    kinds = {"plain": b"words", "set-user-ID": b"", "alien": b"\x7fELF\x01\x01\x01" + bytes(100),
             "foreign": b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xff\x7f" + bytes(100)}
    for name, content in kinds.items():
        path = pathlib.Path(folder, name)
        path.write_bytes(content)
        path.chmod({"plain": 0o644, "set-user-ID": 0o4755}.get(name, 0o755))
        if name != "plain" or os.geteuid():
            check_refused(126, "run", str(path))
    check_refused(126, "run", folder)
    static = shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if static and shutil.which("readelf") and "INTERP" not in run("readelf", "-lW", static).stdout:
        check_refused(126, "run", static)


def check_variable():
    bad = run(command, "run", "true", env={**os.environ, "DEFER_DROP_RUN": "rate=x"})
    expect(bad.returncode == 2 and "DEFER_DROP_RUN" in bad.stderr, f"DEFER_DROP_RUN: {bad}")
    ran = run(command, "run", "--children=no", "sh", "-c", "env", env={**os.environ, "DEFER_DROP_RUN": "exit=2s"})
    expect("libdefer_drop_preload" not in ran.stdout and "DEFER_DROP_RUN" not in ran.stdout, f"inherited: {ran.stdout}")
    ran = run(command, "run", "--rate=1G", "sh", "-c", "env")
    expect("libdefer_drop_preload" in ran.stdout and "rate=1G" in ran.stdout, f"not inherited: {ran.stdout}")


def check_report(folder):
    report = pathlib.Path(folder, "report")
    code = ("import os\nfor i in range(3):\n open('f', 'wb').write(b'x' * 1000000)\n os.unlink('f')\n"
            "x = bytearray(b'x') * (64 << 20)\ndel x")
    ran = run(command, "run", *EVERYTHING, "--exit=1m", f"--report={report}", sys.executable, "-c", code, cwd=folder)
    text = report.read_text() if report.exists() else ""
    expect(ran.returncode == 0 and not ran.stderr, f"report: {ran}")
    expect(re.search(r"^defer-drop\[\d+\]: memory: [1-9]\d* deferred, ", text, re.M), f"memory: {text}")
    if can_hold(folder):
        expect(re.search(r"^defer-drop\[\d+\]: files: 3 deferred, ", text, re.M), f"files: {text}")


def can_hold(folder):
    """True on a file system that the library knows."""
    kind = run("stat", "-f", "-c", "%T", folder).stdout.strip()
    return kind in {"ext2/ext3", "tmpfs", "xfs", "btrfs", "f2fs", "overlayfs"}


def check_helper():
    for program in "rm", "mv":
        with tempfile.TemporaryDirectory() as folder:
            for name in "old", "new":
                pathlib.Path(folder, name).write_bytes(name.encode() * 1000000)
            ran = run(command, "run", *EVERYTHING, "--helper", program, "old", "new", cwd=folder)
            left = {path.name: path.read_bytes()[:3] for path in pathlib.Path(folder).iterdir()}
            wanted = {} if program == "rm" else {"new": b"old"}
            expect(ran.returncode == 0 and not ran.stderr and left == wanted, f"{program}: {ran} {left}")
    # It must not be a child, nor keep the pipe open: this would wait for it.
    ran = run(command, "run", "--helper", "sh", "-c", "wait; echo done; exit 4")
    expect((ran.returncode, ran.stdout, ran.stderr) == (4, "done\n", ""), f"helper: {ran}")


def check_twice(folder):
    """Two copies of the library in one program: the second one leaves everything to the first."""
    library = pathlib.Path(command).parent / "libdefer_drop_preload.so"
    copy = shutil.copy(library, pathlib.Path(folder, "copy.so"))
    ran = run("sh", "-c", "head -c 3000000 /dev/zero >a && rm a && ls", cwd=folder,
              env={**os.environ, "LD_PRELOAD": f"{library}:{copy}", "DEFER_DROP_RUN": "file_bytes=1,memory_bytes=4k"})
    expect(ran.returncode == 0 and ran.stdout.split()[0] == "copy.so" and not ran.stderr, f"twice: {ran}")


with tempfile.TemporaryDirectory() as scratch:
    check_twice(scratch)
    check_refusals(scratch)
    check_report(scratch)
check_variable()
check_helper()
both("python", sys.executable, "-c", SUBJECT)
both("a namespace", sys.executable, "-c", NAMESPACE)
both("a filter of system calls", sys.executable, "-c", FILTERED)
both("rm", "sh", "-c", "head -c 3000000 /dev/zero >a; rm a; rm a; rm -rf b; ls")
both("mv", "sh", "-c", "head -c 3000000 /dev/zero >a; echo word >b; mv b a; cat a")
both("cp", "sh", "-c", "head -c 3000000 /dev/zero >a; echo word >b; cp b a; cat a; cp --remove-destination b a; cat a")
both("sort", "sh", "-c", "seq 100000 | sort -S 100k -r -T . | cksum")
both("split", "sh", "-c", "seq 100000 | split -b 100000 && cat x* | cksum && rm x*")
both("sed", "sh", "-c", "seq 1000 >a; sed -i s/1/2/ a; cksum a")
both("a program that ends by a signal", "sh", "-c", "kill -9 $$")
if shutil.which("sqlite3"):
    both("sqlite3", "sqlite3", "base", """
create table t (a); insert into t select hex(randomblob(1)) from generate_series(1, 10);
delete from t; insert into t with recursive c(x) as (values(1) union all select x + 1 from c where x < 20000)
select x from c; create index i on t(a); begin; delete from t where a % 2; rollback; delete from t where a % 3;
vacuum; select count(*), sum(a) from t; pragma integrity_check; drop table t; vacuum;""")
print("\n".join(failures))
sys.exit(bool(failures))
