#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""changed.py BUILD [COMMIT]: prints the tests of the quick suite that concern the files which differ from a commit
(HEAD), a line for each: NAME, tab, reason. Files for clang-tidy are lines too: "clang-tidy", tab, FILE.

A file of test or bench concerns the tests whose programs were compiled from it. A file of lib or include is in
nearly all programs: it concerns the models that mutate.py and the compiler name, the stress scenarios that do for
real what these models do (the table in test/meson.build), and the tests of its name. A file that is in a test's
command, or in a folder that is, concerns that test. A test that begins with "later: " is left to the quick suite.
"""
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

# What a file of the library concerns if it has no test of its own.
EVERYDAY = ["unit push", "unit queue", "unit drain", "unit worker", "burst 8"]
# More programs than this include a header of lib only because all of their kind do.
FEW = 6
# Models that take about a minute and more: for a file of lib they are left to the quick suite.
SLOW = {"give_up", "stop"}

build = pathlib.Path(sys.argv[1]).resolve()
commit = sys.argv[2] if len(sys.argv) > 2 else "HEAD"
root = pathlib.Path(__file__).resolve().parent.parent


def run(*command):
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"changed: {' '.join(map(str, command))}: {ran.stderr.strip()}")
    return ran.stdout


def changed_files():
    names = run("git", "diff", "--name-only", commit, "--").splitlines()
    names += run("git", "ls-files", "--others", "--exclude-standard").splitlines()
    return sorted(set(names))


def introspect(what):
    return json.loads(run("meson", "introspect", build, f"--{what}"))


def relative(path, base):
    path = pathlib.Path(os.path.normpath(path))
    return str(path.relative_to(base)) if path.is_relative_to(base) else ""


def objects_by_file():
    """Returns {file: objects that the compiler read it for}."""
    found = collections.defaultdict(set)
    for line in run("ninja", "-C", build, "-t", "deps").splitlines():
        if line.startswith(" "):
            found[relative(build / line.strip(), root)].add(target)
        elif line:
            target = line.partition(":")[0]
    # New files were not compiled yet.
    for target in introspect("targets"):
        for source in (source for group in target["target_sources"] for source in group.get("sources", [])):
            private = relative(target["filename"][0], build) + ".p"
            found[relative(source, root)].add(private + "/")
    return found


class Tests:
    """The quick suite: each test's name, its command's paths, its programs, and their objects."""

    def __init__(self):
        outputs = {target["id"]: target["filename"] for target in introspect("targets")}
        known = {relative(path, build) for paths in outputs.values() for path in paths}
        self.commands = {}
        self.programs = {}
        for test in introspect("tests"):
            if not any(suite.endswith(":quick") for suite in test["suite"]):
                continue
            paths = [word for word in test["cmd"] if word.startswith("/")]
            built = [path for name in test["depends"] for path in outputs.get(name, [])]
            self.commands[test["name"]] = test["cmd"]
            self.programs[test["name"]] = known & {relative(path, build) for path in paths + built}
        self.inputs = {program: set(run("ninja", "-C", build, "-t", "inputs", program).splitlines())
                       for program in set().union(*self.programs.values())}

    def compiled_from(self, objects, own):
        """Yields the tests whose programs have one of these objects; own: not by way of one of the libraries."""
        for name, programs in self.programs.items():
            for program in programs:
                inside = {item for item in objects if own and item.startswith(f"{program}.p/")}
                if inside or (not own and self.has(program, objects)):
                    yield name
                    break

    def has(self, program, objects):
        private = {item for item in objects if item.endswith("/")}
        return bool(objects & self.inputs[program]) or any(
            item.startswith(folder) for item in self.inputs[program] for folder in private)

    def naming(self, name):
        """Yields the tests whose command has this file, a folder of it, or a script that imports it."""
        path = root / name
        imports = re.compile(rf"^(?:import|from) {path.stem}\b", re.M)
        for test, command in self.commands.items():
            words = [pathlib.Path(os.path.normpath(word)) for word in command if word.startswith(f"{root}/")]
            scripts = [word for word in words if word.parent == path.parent and word.suffix == path.suffix == ".py"]
            if any(path.is_relative_to(word) for word in words) or any(
                    imports.search(script.read_text()) for script in scripts):
                yield test


def table_of_models():
    """Returns {model: stress scenarios that do for real what it does}."""
    lines = re.findall(r"^#   (\w+) {2,}.*? {2,}(?:\S.* {2,})?(\S.*)$", (root / "test/meson.build").read_text(), re.M)
    return {model: [f"{word} 8" for word in re.findall(r"\w+", where)] for model, where in lines}


def models_by_file():
    text = (root / "test/model/mutate.py").read_text()
    table = text.partition("FILES = {")[2].partition("}")[0]
    return {name: re.findall(r'"(\w+)"', models) for name, models in re.findall(r'"([^"]+)": \[(.*?)\]', table)}


def of_library(name, objects, tests):
    """Yields (test, reason) for a file of lib or include."""
    path = pathlib.Path(name)
    models = models_by_file().get(name)
    if models is None:
        own = {test for test in tests.compiled_from(objects, True) if test.startswith("model ")}
        models = sorted(test.partition(" ")[2] for test in own) if len(own) <= FEW else []
    for model in models:
        yield f"later: model {model}" if model in SLOW else f"model {model}", f"runs {name}"
        for scenario in table_of_models().get(model, []):
            yield scenario, f"does for real what the model {model} does"
    named = re.compile(rf"(unit|hostile) {path.stem}(?=[_ ]|$)|{path.stem} 8$")
    yield from ((test, f"is named after {name}") for test in tests.commands if named.match(test))
    others = {test for test in tests.compiled_from(objects, True) if not test.startswith("model ")}
    if len(others) <= FEW:
        yield from ((test, f"includes {name}") for test in others)


def of_test(name, objects, tests):
    """(test, reason) for a file of test or bench."""
    path = pathlib.Path(name)
    scenario = f"{path.stem.partition('_')[0] if path.stem.startswith('soak') else path.stem} 8"
    if path.parent.name == "stress" and scenario in tests.commands:
        yield scenario, f"is the scenario {name}"
        return
    for test in tests.compiled_from(objects, False):
        yield test, f"is compiled from {name}"


def concerned(names, tests):
    chosen = {}
    objects = objects_by_file()
    for name in names:
        is_library = name.startswith(("lib/", "include/")) and re.search(r"\.(c|h|hpp)$", name)
        before = len(chosen)
        for test, reason in (of_library if is_library else of_test)(name, objects[name], tests):
            if test.removeprefix("later: ") in tests.commands:
                chosen.setdefault(test, reason)
        if is_library and len(chosen) == before:
            chosen.update((test, f"every day: {name} has no test of its own") for test in EVERYDAY
                          if test in tests.commands and test not in chosen)
        for test in tests.naming(name):
            chosen.setdefault(test, f"reads {name}")
        if re.search(r"\.(c|h|cpp|hpp)$", name):
            chosen.setdefault("format", f"reads {name}")
        if re.search(r"^(tools|\.ci)/|\.sh$", name):
            chosen.setdefault("scripts", f"reads {name}")
    return chosen


names = changed_files()
for test, reason in sorted(concerned(names, Tests()).items()):
    print(f"{test}\t{reason}")
for name in names:
    if name.endswith((".c", ".cpp")) and (root / name).exists():
        print(f"clang-tidy\t{name}")
