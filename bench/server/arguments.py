# SPDX-License-Identifier: MIT
"""What compare.py is told on its command line."""
import getopt
import sys

# Name: what, least, most, built in, with --quick.
NUMBERS = {
    "rounds": ("how often each is measured, in turn", 1, 101, 3, 1),
    "ms": ("for how long small commands are measured", 100, 3600000, 5000, 2000),
    "rate": ("small commands per second", 100, 1000000, 10000, 10000),
    "requests": ("of redis-benchmark, GET and SET each", 100, 100000000, 100000, 10000),
    "deletions": ("pipelined, to see what one takes", 10, 100000, 2000, 500),
    "overload": ("values made and deleted as fast as it goes", 1, 100000, 200, 40),
}
SIZES = [10, 1000, 100000, 1000000]
QUICK_SIZES = [1000000]
LEAST_SIZES = [10]


def print_help():
    print("usage: compare.py SERVER CLIENT [OPTION]...\n\n"
          "Runs the server with each way to destroy big values, and redis-server with DEL and\n"
          "with UNLINK where it is installed. A client makes values of so many elements and\n"
          "deletes them at a steady pace, while another measures small commands, open loop, and\n"
          "redis-benchmark what goes through. Then what a deletion takes of the loop's time, by\n"
          "elements; and values are made and deleted as fast as it goes, while who destroys\n"
          "hardly gets to run: how much memory that takes.\n")
    for name, (what, least, most, built_in, quick) in NUMBERS.items():
        print(f"  {'--' + name + ' N':18} {what}; {least}..{most} [{built_in}, quick {quick}]")
    built_in = ",".join(map(str, SIZES))
    print(f"  --sizes N,...      elements of a value; 1..100000000 [{built_in}]\n"
          "  --quick            less of it, for some minutes\n"
          "  --least            every number at its least: to see that it works\n"
          "  --json FILE        the same figures as JSON too; - for standard output, then the\n"
          "                     text goes to standard error\n"
          "  --help             this text")


def refuse(line):
    sys.stderr.write(line + "\n")
    sys.exit(2)


def read_number(option, text, least, most):
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        refuse(f"{option} {text}: want {least}..{most}")
    return int(text)


class Options:
    def __init__(self, arguments):
        self.json = None
        self.sizes = None
        given = self.read(arguments)
        column = 1 if "--least" in given else 4 if "--quick" in given else 3
        self.numbers = {name: entry[column] for name, entry in NUMBERS.items()}
        for option, text in given.items():
            if option[2:] in NUMBERS:
                self.numbers[option[2:]] = read_number(option, text, *NUMBERS[option[2:]][1:3])
        self.sizes = self.sizes or {1: LEAST_SIZES, 4: QUICK_SIZES, 3: SIZES}[column]

    def read(self, arguments):
        try:
            pairs, rest = getopt.gnu_getopt(arguments, "", [f"{name}=" for name in NUMBERS] + [
                "sizes=", "json=", "quick", "least", "help"])
        except getopt.GetoptError as error:
            refuse(f"--{error.opt}: {error.msg}")
        if rest:
            refuse(f"{rest[0]}: want options only, see --help")
        for option, text in pairs:
            if option == "--help":
                print_help()
                sys.exit(0)
            if option == "--json":
                self.json = text
            if option == "--sizes":
                self.sizes = [read_number(option, part, 1, 100000000) for part in text.split(",")]
        return dict(pairs)

    def __getattr__(self, name):
        return self.numbers[name]
