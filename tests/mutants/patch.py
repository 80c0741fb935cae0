"""Reads a mutant: header lines "key: value" (a line that begins with a space goes on with the one
before), then a unified diff. Applies it exactly: every context line must be there, in one place."""

import os
import re

KEYS = ("breaks", "expected", "options", "killer")
ORACLES = ("S1", "S2", "S3", "S4", "S5", "L1", "L2", "log", "vote", "disk", "panic")
LAWS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../daemon/core/PROTOCOL.md")
CITED = re.compile(r"PROTOCOL\.md, ([a-z0-9]+(?:-[a-z0-9]+)+)")
HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class PatchError(Exception):
    """What is wrong with a mutant, for people."""


def read_rules():
    """The names of the rules of PROTOCOL.md: each begins a paragraph, **so-it-is** written."""
    with open(LAWS, encoding="utf-8") as text:
        return set(re.findall(r"^\*\*([a-z0-9]+(?:-[a-z0-9]+)+)\*\* ", text.read(), re.M))


RULES = read_rules()


def check_cited(breaks):
    cited = CITED.findall(breaks)
    if not cited:
        raise PatchError("breaks: cites no rule; write 'PROTOCOL.md, NAME: what of it'")
    for name in cited:
        if name not in RULES:
            raise PatchError(f"breaks: {name} is no rule of daemon/core/PROTOCOL.md")


def read_header(lines):
    header, key, at = {}, None, 0
    while at < len(lines) and not lines[at].startswith("--- "):
        line = lines[at]
        at += 1
        if line.startswith(" ") and key:
            header[key] += " " + line.strip()
        elif line.strip():
            key, colon, value = line.partition(":")
            if not colon or key not in KEYS or key in header:
                raise PatchError(f"header line '{line}': expected one of {', '.join(KEYS)}, once")
            header[key] = value.strip()
    if not header.get("breaks"):
        raise PatchError("no line 'breaks:' that names the rule and where it is written")
    if bool(header.get("expected")) == bool(header.get("killer")):
        raise PatchError("needs 'expected:' (oracles) or 'killer:' (a unit test), not both")
    return header, at


def read_hunk(lines, at):
    """Returns (old lines, new lines, where the next hunk begins)."""
    counts = HUNK.match(lines[at])
    if not counts:
        raise PatchError(f"line {at + 1}: no hunk header: '{lines[at]}'")
    old_left, new_left = (int(n) if n else 1 for n in counts.groups())
    old, new = [], []
    at += 1
    while old_left > 0 or new_left > 0:
        if at >= len(lines) or not lines[at] or lines[at][0] not in " +-":
            raise PatchError(f"line {at + 1}: the hunk ends too soon")
        mark, text = lines[at][0], lines[at][1:]
        if mark in " -":
            old.append(text)
            old_left -= 1
        if mark in " +":
            new.append(text)
            new_left -= 1
        at += 1
    if old_left or new_left or old == new:
        raise PatchError(f"line {at}: the hunk's counts do not fit, or it changes nothing")
    return old, new, at


def read_files(lines, at):
    """Returns [(path, [(old lines, new lines)])]."""
    files = []
    while at < len(lines):
        if not lines[at].startswith("--- a/") or not lines[at + 1].startswith("+++ b/"):
            raise PatchError(f"line {at + 1}: expected '--- a/PATH' and '+++ b/PATH'")
        path = lines[at][len("--- a/"):].split("\t")[0]
        if not path.startswith("daemon/") or lines[at + 1][len("+++ b/"):].split("\t")[0] != path:
            raise PatchError(f"line {at + 1}: one file of daemon/ is changed, not '{path}'")
        at += 2
        hunks = []
        while at < len(lines) and lines[at].startswith("@@"):
            old, new, at = read_hunk(lines, at)
            hunks.append((old, new))
        if not hunks:
            raise PatchError(f"{path}: no hunk")
        files.append((path, hunks))
    if not files:
        raise PatchError("no diff")
    return files


class Mutant:
    """One faulty daemon: what it breaks, who may find it out, and its diff."""

    def __init__(self, file):
        self.name = os.path.basename(file)[:-len(".patch")]
        with open(file, encoding="utf-8") as text:
            lines = text.read().splitlines()
        header, at = read_header(lines)
        self.breaks = header["breaks"]
        check_cited(self.breaks)
        self.options = header.get("options", "").split()
        self.killer = header.get("killer", "")
        self.expected = [name.strip() for name in header.get("expected", "").split(",") if name]
        unknown = [name for name in self.expected if name not in ORACLES]
        if unknown:
            raise PatchError(f"expected: no such oracle: {', '.join(unknown)}")
        self.files = read_files(lines, at)

    def apply(self, tree):
        """Changes the files below `tree`."""
        for path, hunks in self.files:
            file = os.path.join(tree, path)
            try:
                with open(file, encoding="utf-8") as text:
                    lines = text.read().split("\n")
            except FileNotFoundError:
                raise PatchError(f"{path}: no such file") from None
            for number, (old, new) in enumerate(hunks, 1):
                places = [at for at in range(len(lines) - len(old) + 1)
                          if lines[at:at + len(old)] == old]
                if len(places) != 1:
                    raise PatchError(f"no longer applies: {path}: hunk {number} fits in "
                                     f"{len(places)} places")
                lines[places[0]:places[0] + len(old)] = new
            os.unlink(file)
            with open(file, "w", encoding="utf-8") as text:
                text.write("\n".join(lines))


def load(folder):
    """Returns ([Mutant], [(name, what is wrong)]), by name."""
    mutants, broken, numbers = [], [], set()
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".patch"):
            continue
        try:
            number = name.partition("-")[0]
            if not re.fullmatch(r"\d{2,3}-[a-z0-9-]+\.patch", name) or number in numbers:
                raise PatchError("named NN-what-it-does.patch, with a number of its own")
            numbers.add(number)
            mutants.append(Mutant(os.path.join(folder, name)))
        except PatchError as error:
            broken.append((name[:-len(".patch")], str(error)))
    return mutants, broken
