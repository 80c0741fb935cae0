#!/usr/bin/env python3
"""Moves the mutants whose lines have moved: a patch of tests/mutants that applied at COMMIT and does
not apply to the tree any more is written anew, for code that was moved to another file, reformatted
or edited beside it. What it can't move it names; a person looks at those.

  rebase.py COMMIT [NAME...]     those mutants (numbers or parts of names), or all that don't apply
"""

import argparse
import difflib
import glob
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from patch import Mutant, PatchError  # noqa: E402

CONTEXT = 3


def count_of(lines, part):
    """Where `part` begins in `lines`, every place."""
    if not part:
        return []
    return [at for at in range(len(lines) - len(part) + 1)
            if lines[at:at + len(part)] == part]


def replace_once(lines, old, new):
    """`lines` with `old` replaced, or None if `old` is not there in one place."""
    places = count_of(lines, old)
    if len(places) != 1:
        return None
    return lines[:places[0]] + new + lines[places[0] + len(old):]


def narrowed(old, new):
    """The same change with ever less context, the widest first."""
    lead = 0
    while lead < min(len(old), len(new)) and old[lead] == new[lead]:
        lead += 1
    tail = 0
    while tail < min(len(old), len(new)) - lead and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    for cut in range(1, lead + tail + 1):
        for front in range(max(0, cut - tail), min(lead, cut) + 1):
            back = cut - front
            yield old[front:len(old) - back], new[front:len(new) - back]


def formatted(lines):
    text = subprocess.run(["clang-format", "--assume-filename=a.c", f"--style=file:{ROOT}/.clang-format"],
                          input="\n".join(lines) + "\n", stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    return text.splitlines()


def merged(current, base, mutated):
    """The three merged, or None if they conflict."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, lines in (("current", current), ("base", base), ("mutated", mutated)):
            names.append(os.path.join(folder, name))
            with open(names[-1], "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
        done = subprocess.run(["git", "merge-file", "-p", *names], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else None


class Tree:
    """The product's sources: as they were, as they are."""

    def __init__(self, commit):
        self.commit = commit
        self.now = {}
        for folder, _, names in os.walk(os.path.join(ROOT, "daemon")):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.relpath(os.path.join(folder, name), ROOT)
                    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                        self.now[path] = file.read().splitlines()

    def base(self, path):
        done = subprocess.run(["git", "show", f"{self.commit}:{path}"], cwd=ROOT, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout.splitlines() if done.returncode == 0 else None


def applies(tree, files):
    for path, hunks in files:
        lines = tree.now.get(path)
        for old, new in hunks:
            lines = lines and replace_once(lines, old, new)
        if not lines:
            return False
    return True


def move_hunk(tree, changed, path, old, new):
    """Puts one hunk into `changed` (path -> lines); False: it has no one place."""
    for small_old, small_new in [(old, new), *narrowed(old, new)]:
        around = sum(line in small_new for line in small_old)
        for paths in ([path], [other for other in tree.now if other != path]):
            if paths != [path] and around < 2:
                continue  # one line alone may stand elsewhere by chance
            hits = [name for name in paths if name in tree.now and
                    len(count_of(changed.get(name, tree.now[name]), small_old)) == 1]
            if len(hits) == 1:
                name = hits[0]
                changed[name] = replace_once(changed.get(name, tree.now[name]), small_old, small_new)
                if name != path or small_old != old:
                    print(f"{path}: a hunk is now in {name}, by {len(small_old)} lines: look at it")
                return True
    return False


def merge_file(tree, changed, path, base, mutated):
    """Puts a whole file's mutation into `changed`; False: it conflicts, or changes nothing."""
    current = changed.get(path, tree.now[path])
    for form in (lambda lines: lines, formatted):
        lines = merged(current, form(base), form(mutated))
        if lines and lines != current:
            changed[path] = lines
            return True
    return False


def move(tree, files):
    """path -> lines with the mutant in them; None: a person must look."""
    changed = {}
    for path, hunks in files:
        base = tree.base(path)
        mutated = base
        for old, new in hunks:
            mutated = mutated and replace_once(mutated, old, new)
        if mutated and path in tree.now and merge_file(tree, changed, path, base, mutated):
            continue
        if not all(move_hunk(tree, changed, path, old, new) for old, new in hunks):
            return None
    return changed


def write(name, tree, changed):
    with open(name, encoding="utf-8") as file:
        text = file.read()
    header = text[:text.index("\n--- a/") + 1]
    diff = []
    for path in sorted(changed):
        diff += difflib.unified_diff(tree.now[path], changed[path], f"a/{path}", f"b/{path}",
                                     lineterm="", n=CONTEXT)
    with open(name, "w", encoding="utf-8") as file:
        file.write(header + "\n".join(diff) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("commit", help="at which they applied")
    parser.add_argument("name", nargs="*")
    wanted = parser.parse_args()
    tree = Tree(wanted.commit)
    kept = moved = failed = 0
    for name in sorted(glob.glob(os.path.join(HERE, "*.patch"))):
        if wanted.name and not any(part in os.path.basename(name) for part in wanted.name):
            continue
        try:
            files = Mutant(name).files
        except PatchError as error:
            print(f"{os.path.basename(name)}: {error}")
            failed += 1
            continue
        if applies(tree, files):
            kept += 1
            continue
        changed = move(tree, files)
        if changed:
            write(name, tree, changed)
            moved += 1
        else:
            print(f"{os.path.basename(name)}: has no one place any more")
            failed += 1
    print(f"{kept} kept, {moved} moved, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
