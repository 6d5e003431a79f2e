#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""manual.py ROOT OUTPUT [MANDOC]: makes the manual from the headers, which stay its source: a page of section 3
for every call, type and macro that has a comment, one of section 7 for each header and each concept, in OUTPUT/man3
and OUTPUT/man7. With MANDOC, the program: the same as HTML, in OUTPUT/html, and the pages of commands.

The pages are mdoc(7), which says what a word is, so that mandoc makes links of calls, and checks the pages. Doxygen
would want a second dialect in the headers, and makes one page of each header; scdoc cannot read C either, and has no
word for a call. So a build needs Python for the pages, as Meson does, and nothing else.
"""
import dataclasses
import datetime
import html
import pathlib
import re
import shutil
import subprocess
import sys

LABELS = ["Environment", "Threads", "Blocks", "Errors", "Ordering"]
SECTIONS = {"Threads": "THREADS", "Blocks": "BLOCKING", "Errors": "ERRORS", "Ordering": "ORDERING",
            "Environment": "ENVIRONMENT"}

# Concepts: what their page is about, and how the rules begin that it has. Rules are points of the lists "The rules of
# all calls" and "The rules of all programs" in defer_drop.h; those of no concept stand in defer_drop(7).
CONCEPTS = {
    "order": ("which drop is destroyed before which, and what is visible then",
              ["Drops of one thread", "What a thread did before", "The worker gives each thread"]),
    "waiting": ("timeouts, deadlocks, and threads that are stopped",
                ["A timeout is in", "A destructor that waits", "The worker gives each thread",
                 "A thread that is stopped", "Inside a read-side"]),
    "errors": ("what each error means, and whose the object is then",
               ["A call that can fail", "Each error has", "A push that returns", "Every call accepts"]),
    "fork": ("what becomes of drops in a forked child", ["A forked child", "The handlers of pthread_atfork"]),
    "exit": ("what becomes of drops that are pending when the process ends", ["Exit, by exit", "When exit has dealt"]),
    "rcu": ("drops after a grace period of liburcu", ["Inside a read-side"]),
    "tools": ("sanitizers and valgrind", ["A program may be built with"]),
    "plugins": ("shared objects that are loaded and closed",
                ["The shared library is never", "With the static library"]),
    "destructors": ("what the functions may do that destroy objects",
                    ["What is said of destructors", "A destructor must return", "The threads of the library block",
                     "What a destructor changes", "A destructor that waits", "The worker gives each thread"]),
}
# Calls and types that a concept's page refers to, beside those that its text names.
RELATED = {"rcu": ["defer_drop_rcu", "defer_drop_config"], "fork": ["defer_drop_at_fork", "defer_drop_config"],
           "exit": ["defer_drop_shutdown", "defer_drop_config"], "order": ["defer_drop", "defer_drop_flush"],
           "waiting": ["defer_drop_timed", "defer_drop_flush"], "destructors": ["defer_drop", "defer_drop_again"],
           "tools": ["defer_drop"], "plugins": ["defer_drop_queue_create"], "errors": ["defer_drop"]}


# ---- Reading headers -------------------------------------------------------------------------------


@dataclasses.dataclass
class Entry:
    """What a comment is about: the names that its code declares, and the code."""
    names: list
    comment: list
    code: str
    header: str
    family: str
    functions: list
def bare(comment):
    """The lines of a comment without its marks; the further indentation stays."""
    text = re.sub(r"^/\*+[ \n]?|\s*\*/$", "", comment)
    lines = [re.sub(r"^ \* ?", "", line).rstrip() for line in text.split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def code_after(text, at):
    """The declarations that a comment stands before: up to an empty line, or to the next comment, outside of braces."""
    code = []
    depth = 0
    for line in text[at:].lstrip("\n").split("\n"):
        if depth == 0 and (not line.strip() or line.startswith(("/*", "#if", "#e"))) and not in_macro(code):
            if line.strip() or code:
                break
        code.append(line)
        depth += line.count("{") - line.count("}")
    return "\n".join(code)


def in_macro(code):
    return bool(code) and code[-1].endswith("\\")


def functions_of(code):
    """[(type, name, arguments)] of the calls that code declares."""
    flat = re.sub(r"/\*.*?\*/|__attribute__\s*\(\(.*?\)\)", "", code, flags=re.S)
    found = []
    for kind in (r"^DEFER_DROP_API\s+([^;{]*?)(\w+)\(([^;{]*)\)[^;()]*;",
                 r"^static inline\s+([^;{]*?)(\w+)\(([^;{]*?)\)\s*\{"):
        for result, name, arguments in re.findall(kind, flat, re.M):
            arguments = [" ".join(argument.split()) for argument in re.split(r",(?![^(]*\))", arguments)]
            found.append((" ".join(result.split()), name, arguments))
    return found


def names_of(code):
    """The types and macros that code declares."""
    names = re.findall(r"^typedef [^;]*?\(\*(\w+)\)", code, re.M)
    names += re.findall(r"^(?:struct|enum) (\w+) \{", code, re.M)
    names += re.findall(r"^#define (\w+)", code, re.M)
    names += re.findall(r"^extern DEFER_DROP_API const struct \w+ (\w+);", code, re.M)
    return names


def read_header(path, include):
    """Returns (the lines of its head, its entries)."""
    text = path.read_text()
    comments = list(re.finditer(r"^/\*.*?\*/", text, re.M | re.S))
    head = [line for line in bare(comments[0].group()) if not line.startswith("SPDX")]
    entries = []
    family = ""
    for comment in comments[1:]:
        title = re.match(r"/\* -{4} (.*?) -+ \*/$", comment.group())
        if title:
            family = title.group(1)
            continue
        code = code_after(text, comment.end())
        functions = functions_of(code)
        names = [name for _, name, _ in functions] or names_of(code)
        names = [name for name in names if name.lower().startswith("defer_drop")]
        lines = bare(comment.group())
        if names and not lines[0].startswith(("The library's own", "clang-format")):
            entries.append(Entry(names, lines, code, str(path.relative_to(include)), family, functions))
    return head, entries


# ---- Writing mdoc ----------------------------------------------------------------------------------


def escape(text):
    return re.sub(r"^(?=[.'])", r"\\&", text.replace("\\", "\\e").replace("--", "\\-\\-"))


class Page:
    """The text of one page. pages: {name: section}, to which words become links."""

    def __init__(self, pages, name, section):
        self.pages = pages
        self.name = name
        self.section = section
        self.named = set()
        self.lines = [f'.Dd {DATE}', f'.Dt {name.upper()} {section}', f'.Os "defer_drop {VERSION}"', ".Sh NAME"]

    def call(self, text):
        self.lines.append(text)

    def text(self, words):
        """A running text: calls in it become links. The first word of a section has a capital."""
        line = []
        if self.lines[-1].startswith(".Sh") and re.match(r"[a-z]+\b[^_(]", words):
            words = words[0].upper() + words[1:]
        for word in [*words.split(), None]:
            link = word and self.link(word)
            if word and not link:
                line.append(word)
            # A sentence begins on a line of its own.
            if line and (not word or link or re.search(r"[^.][.!?:][)\"]*$", line[-1])):
                self.lines.append(escape(" ".join(line)))
                line = []
            if link:
                self.lines.append(link)

    def link(self, word):
        found = re.match(r"(\(?)([A-Za-z_]\w*?)(?:\((\d\w*)\))?([.,;:)]*)$", word)
        if not found:
            return None
        before, name, section, after = found.groups()
        if section and name not in self.pages:
            target = f"{name} {section}"
        elif name in self.pages and name != self.name and (section or "_" in name):
            target = f"{name} {self.pages[name]}"
        else:
            return None
        if target.split()[0] == self.name:
            return None
        self.named.add(target)
        return " ".join(filter(None, [".Xr", before, target, " ".join(after)]))

    def literal(self, lines):
        if self.lines[-1] == ".Pp":
            self.lines.pop()
        self.lines += [".Bd -literal -offset indent", *map(escape, lines), ".Ed"]

    def paragraphs(self, lines):
        """Text with lists, tables and code, as the comments of the headers have them."""
        for block in blocks_of(lines):
            if self.lines[-1][:3] not in (".Sh", ".Ss", ".It"):
                self.call(".Pp")
            indent = min(len(line) - len(line.lstrip()) for line in block)
            if indent >= 2:
                self.literal([line[indent:] for line in block])
                continue
            self.block(block)

    def block(self, block):
        at = 0
        while at < len(block):
            end = at + 1
            if block[at].startswith("- "):
                while end < len(block) and block[end].startswith("  ") and not block[end].startswith("    "):
                    end += 1
                self.text(" ".join([block[at][2:], *block[at + 1:end]]))
                if end < len(block) and not block[end].startswith("- "):
                    end = self.rest(block, end)
                if end < len(block):
                    self.call(".Pp")
            elif block[at].startswith("  "):
                end = self.rest(block, at)
            else:
                while end < len(block) and not block[end].startswith(("  ", "- ")):
                    end += 1
                self.text(" ".join(block[at:end]))
            at = end

    def rest(self, block, at):
        """Indented lines below a text: a table, or code."""
        end = at
        while end < len(block) and block[end].startswith("  "):
            end += 1
        indent = min(len(line) - len(line.lstrip()) for line in block[at:end])
        self.literal([line[indent:] for line in block[at:end]])
        return end

    def see_also(self, more):
        links = sorted({f"{name} {self.pages[name]}" for name in more} | {"defer_drop 7"} | self.named,
                       key=lambda link: (link.split()[1], link.lower(), link))
        links = [link for link in links if link != f"{self.name} {self.section}"]
        if links:
            self.lines += [".Sh SEE ALSO"]
            self.lines += [f".Xr {link}{' ,' if link != links[-1] else ''}" for link in links]

    def write(self, folder):
        file = folder / f"man{self.section}" / f"{self.name}.{self.section}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(self.lines) + "\n")


def blocks_of(lines):
    block = []
    for line in [*lines, ""]:
        if line:
            block.append(line)
        elif block:
            yield block
            block = []


# ---- Comments of calls -----------------------------------------------------------------------------


def split_labels(lines, has_parameters):
    """Splits a comment into its description, its parameters [(names, lines)] and its labels {label: (which, lines)}."""
    description, parameters, labels = [], [], {}
    target = description
    lines = re.sub(r"(?m)^(Errors, [^:]*)\n(?!\n)([^:\n]*:)$", r"\1 \2", "\n".join(lines)).split("\n")
    for line in lines:
        for part in re.split(r"(?<=\.) (?=(?:Threads|Blocks|Errors|Ordering): )", line):
            label = re.match(rf"((?:{'|'.join(LABELS)})(?:, (?:{'|'.join(LABELS)}))*)(|[ ,][^:]*):(?: (.*))?$", part)
            parameter = re.match(r"([a-z_]+(?:, [A-Za-z_]+)*): (.*)$", part)
            if label:
                target = [label.group(3)] if label.group(3) else []
                for name in label.group(1).split(", "):
                    labels[name] = (label.group(2).strip(" ,"), target)
            elif has_parameters and parameter and (parameters or not description or not description[-1]):
                target = [parameter.group(2)]
                parameters.append((parameter.group(1), target))
            else:
                target.append(part[2:] if target is not description and part.startswith("  ") else part)
    return description, parameters, labels


def about(lines):
    """What NAME says: the first sentence, up to a colon unless that only follows a name or stands in brackets."""
    text = " ".join(next(blocks_of(lines), []))
    sentence = re.split(r"\.(?= |$)", text)[0]
    beginning = re.match(r"\w+: [^:]*|[\w, ]*_\w*: .*|[^:(]*(?:\([^)]*\)[^:(]*)*", sentence).group().strip()
    is_name = re.match(r"[A-Z]{2}|C\+\+", beginning)
    return beginning if is_name else beginning[0].lower() + beginning[1:]


def errors(page, which, lines):
    """A list of errors: each begins with its name."""
    if which:
        which = f"{which[1:-1]}." if which.startswith("(") else f"{which}:"
        page.text(which[0].upper() + which[1:])
    is_open = False
    for line in lines:
        row = re.match(r"((?:-E[A-Z0-9]+(?:, )?)+) {2,}(.*)$", line)
        if row:
            if not is_open:
                page.call(".Bl -tag -width Er")
            is_open = True
            page.call(f".It {row.group(1)}")
            page.text(row.group(2))
        else:
            page.text(line)
    if is_open:
        page.call(".El")


def synopsis(page, entry):
    page.lines += [".Sh LIBRARY", "Deferred destruction (libdefer_drop, \\-ldefer_drop)"]
    page.lines += [".Sh SYNOPSIS", f".In {entry.header}"]
    if not entry.functions:
        page.literal(entry.code.replace("\t", "        ").split("\n"))
        return
    for result, name, arguments in entry.functions:
        page.lines += [f'.Ft "{result}"', f".Fo {name}"]
        page.lines += [f'.Fa "{argument}"' for argument in arguments] + [".Fc"]


def page_of(entry, pages, siblings):
    # Only calls have parameters: the comments of constants begin as one, with the fields that they are for.
    description, parameters, labels = split_labels(entry.comment, bool(entry.functions))
    page = Page(pages, entry.names[0], 3)
    for name in entry.names:
        page.call(f".Nm {name}" + (" ," if name != entry.names[-1] else ""))
    page.call(f".Nd {escape(about(description))}")
    synopsis(page, entry)
    page.call(".Sh DESCRIPTION")
    page.paragraphs(description)
    if parameters:
        page.lines += [".Bl -tag -width Ds"]
        for names, lines in parameters:
            page.call(f".It Fa {names.replace(',', '')}")
            page.block(lines)
        page.lines += [".El"]
    if "Errors" in labels and any(result == "int" for result, _, _ in entry.functions):
        page.lines += [".Sh RETURN VALUES"]
        page.text("0, or a negative error number (defer_drop_errors(7)), unless the description says otherwise.")
    for label in LABELS:
        if label not in labels:
            continue
        page.call(f".Sh {SECTIONS[label]}")
        which, lines = labels[label]
        if label == "Errors":
            errors(page, which, lines)
        else:
            page.block(lines)
    page.see_also(siblings)
    return page


# ---- Heads of headers, and concepts ----------------------------------------------------------------


def rules_of(head):
    """Returns the points of the two lists of rules: their lines."""
    rules = []
    for title in ("The rules of all calls:", "The rules of all programs:"):
        at = head.index(title) + 2
        while at < len(head) and head[at].startswith(("- ", "  ")):
            if head[at].startswith("- "):
                rules.append([])
            rules[-1].append(head[at])
            at += 1
    return rules


def concept_pages(head, pages):
    rules = rules_of(head)
    taken = []
    for name, (topic, beginnings) in CONCEPTS.items():
        chosen = [rule for rule in rules if any(rule[0][2:].startswith(beginning) for beginning in beginnings)]
        if len(chosen) != len(beginnings):
            print(f"manual: defer_drop.h has {len(chosen)} of the {len(beginnings)} rules of {name}", file=sys.stderr)
        taken += chosen
        page = Page(pages, f"defer_drop_{name}", 7)
        page.lines += [f".Nm defer_drop_{name}", f".Nd {topic}", ".Sh DESCRIPTION"]
        for rule in chosen:
            if rule is not chosen[0]:
                page.call(".Pp")
            page.block(rule)
        page.see_also(RELATED[name])
        yield page
    yield overview(head, [rule for rule in rules if rule not in taken], pages)


def overview(head, rules, pages):
    """defer_drop(7): the head of defer_drop.h, without the rules that have a page of their own."""
    page = Page(pages, "defer_drop", 7)
    page.lines += [".Nm defer_drop", ".Nd destruction off the caller's path", ".Sh DESCRIPTION"]
    calls = head.index("The rules of all calls:")
    programs = head.index("The rules of all programs:")
    after = next(at for at in range(programs + 2, len(head)) if head[at] and not head[at].startswith(("- ", "  ")))
    page.paragraphs(head[head.index("", 1):calls]) # its first line is the name
    page.call(".Sh RULES")
    for rule in rules:
        if rule is not rules[0]:
            page.call(".Pp")
        page.block(rule)
    page.call(".Sh SYSTEM CALLS AND VERSIONS")
    page.paragraphs(head[after:])
    page.see_also([name for name, section in pages.items() if section == 7])
    return page


def head_page(name, header, head, entries, pages):
    page = Page(pages, name, 7)
    page.lines += [f".Nm {name}", f".Nd {escape(about(head))}", ".Sh SYNOPSIS", f".In {header}", ".Sh DESCRIPTION"]
    page.paragraphs(head)
    page.see_also([entry.names[0] for entry in entries])
    return page


# ---- All --------------------------------------------------------------------------------------------


def make(include, output):
    headers = [include / "defer_drop.h", *sorted((include / "defer_drop").glob("*.h"))]
    read = {header: read_header(header, include) for header in headers}
    cpp_head, _ = read_header(include / "defer_drop.hpp", include)
    entries = [entry for _, found in read.values() for entry in found]
    heads = {f"defer_drop_{header.stem}": header for header in headers[1:]}
    pages = {name: 7 for name in [*heads, *(f"defer_drop_{concept}" for concept in CONCEPTS), "deferdrop"]}
    pages |= {name: 3 for entry in entries for name in entry.names}
    for folder in ("man3", "man7", "html"):
        shutil.rmtree(output / folder, ignore_errors=True)
    for entry in entries:
        siblings = [other.names[0] for other in entries if (other.header, other.family) == (entry.header, entry.family)
                    and other is not entry and other.functions and entry.functions]
        page_of(entry, pages, siblings).write(output)
        for name in entry.names[1:]:
            (output / "man3" / f"{name}.3").write_text(f".so man3/{entry.names[0]}.3\n")
    for page in concept_pages(read[headers[0]][0], pages):
        page.write(output)
    for name, header in heads.items():
        head_page(name, str(header.relative_to(include)), *read[header], pages).write(output)
    head_page("deferdrop", "defer_drop.hpp", cpp_head, [], pages).write(output)


def make_html(output, mandoc):
    folder = output / "html"
    folder.mkdir()
    made = sorted([*output.glob("man?/*"), *root.glob("lib/*/*.1")])
    here = {file.name for file in made}
    rows = []
    for file in made:
        alias = re.match(r"\.so (.*)", file.read_text())
        source = output / alias.group(1) if alias else file
        shown = subprocess.run([mandoc, "-T", "html", "-O", "man=%N.%S.html", source],
                               capture_output=True, text=True, check=True)
        # Pages of others are not here: their names stay, without a link.
        page = re.sub(r'<a class="Xr" href="([^"]*)\.html"[^>]*>(.*?)</a>',
                      lambda link: link.group() if link.group(1) in here else link.group(2), shown.stdout)
        (folder / f"{file.name}.html").write_text(page)
        # Pages of commands may be man(7).
        topic = re.search(r"^(?:\.Nd|\S+ \\-) (.*)", source.read_text(), re.M).group(1)
        title = f"{file.stem}({file.suffix[1:]})"
        rows.append(f'<tr><td><a href="{file.name}.html">{title}</a><td>{html.escape(topic)}')
    rows.sort(key=lambda row: ("(7)" not in row, row))
    (folder / "index.html").write_text(
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>defer_drop {VERSION}</title>\n'
        f"<h1>defer_drop {VERSION}</h1>\n<table>\n" + "\n".join(rows) + "\n</table>\n</html>\n")


root, output = (pathlib.Path(path) for path in sys.argv[1:3])
VERSION = re.search(r"^  version: '(.*)'", (root / "meson.build").read_text(), re.M).group(1)
released = re.search(r"^## \S+ \((.*)\)", (root / "lib/NEWS.md").read_text(), re.M).group(1)
DATE = datetime.date.fromisoformat(released).strftime("%B %-d, %Y")
make(root / "include", output)
if len(sys.argv) > 3:
    make_html(output, sys.argv[3])
