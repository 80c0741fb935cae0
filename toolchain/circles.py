#!/usr/bin/env python3
"""Circles among the folders of daemon/: by #include, and by what their objects call.

    circles.py          by #include; then, of what is built, by calls
    circles.py --self   whether a planted circle of either kind is found

A folder that another one includes or calls must not lead back to it. A callback that was handed
over at the start is no call by name, and is the way out.
"""
import os
import re
import subprocess
import sys
import tempfile

INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)
SEARCHED = ("daemon/core", "daemon", "hal/include", ".")  # as the Makefile's -I


def folder_of(path):
    """daemon/agent/x.c is of agent, daemon/core/raft/x.c of core/raft, daemon/main.c of main."""
    return "/".join(path.split("/")[1:-1]) or "main"


def files(root, top, endings):
    for where, _, names in os.walk(os.path.join(root, top)):
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(where, name), root)


def by_include(root):
    """{(from, to): "file: header"} of folders of daemon/ that differ."""
    edges = {}
    for path in files(root, "daemon", (".c", ".h")):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        for header in INCLUDE.findall(text):
            found = next((os.path.normpath(os.path.join(at, header)) for at in SEARCHED
                          if os.path.exists(os.path.join(root, at, header))), "")
            pair = (folder_of(path), folder_of(found))
            if found.startswith("daemon/") and pair[0] != pair[1]:
                edges.setdefault(pair, f"{path} includes {header}")
    return edges


def symbols(root, objects):
    """{source: (what it calls, what it has for others)} of objects whose source is still there."""
    paths = [path for path in files(root, objects, (".o",)) if os.path.exists(
        os.path.join(root, source_of(path, objects)))]
    lines = subprocess.run(["nm", "-A", *paths], check=True, capture_output=True, text=True,
                           cwd=root).stdout.splitlines()
    found = {source_of(path, objects): (set(), set()) for path in paths}
    for line in lines:
        path, _, rest = line.partition(":")
        kind, name = rest.split()[-2:]
        calls, has = found[source_of(path, objects)]
        if kind == "U":
            calls.add(name)
        elif kind in "TDBRCVW":
            has.add(name)
    return found


def source_of(path, objects):
    return os.path.relpath(path, os.path.dirname(objects))[:-1] + "c"


def by_call(root, objects):
    """The same of objects. A program's main.c is above all: nobody's call leads to it."""
    edges = {}
    found = symbols(root, objects)
    owner = {name: source for source, (_, has) in found.items()
             if not source.endswith("/main.c") for name in has}
    for source, (used, _) in found.items():
        for name in sorted(used & set(owner)):
            pair = (folder_of(source), folder_of(owner[name]))
            if pair[0] != pair[1]:
                edges.setdefault(pair, f"{source} calls {name}()")
    return edges


def circle(edges):
    """One circle as a list of folders, or []."""
    after = {}
    for start, end in edges:
        after.setdefault(start, set()).add(end)
    done = set()

    def walk(folder, path):
        if folder in path:
            return path[path.index(folder):] + [folder]
        if folder in done:
            return []
        for following in sorted(after.get(folder, ())):
            found = walk(following, path + [folder])
            if found:
                return found
        done.add(folder)
        return []

    return next((found for found in (walk(folder, []) for folder in sorted(after)) if found), [])


def report(kind, edges):
    found = circle(edges)
    if found:
        print(f"a circle among folders of daemon/, by {kind}: {' -> '.join(found)}")
        for pair in zip(found, found[1:]):
            print(f"    {edges[pair]}")
    return not found


def write(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), "w", encoding="utf-8") as file:
        file.write(text)


def self_check():
    with tempfile.TemporaryDirectory() as root:
        write(root, "daemon/agent/a.h", "void a(void);\n")
        write(root, "daemon/node/b.h", "void b(void);\n")
        write(root, "daemon/agent/a.c",
              '#include "agent/a.h"\nvoid b(void);\nvoid a(void)\n{\n    b();\n}\n')
        write(root, "daemon/node/b.c",
              '#include "node/b.h"\n#include "agent/a.h"\nvoid b(void)\n{\n    a();\n}\n')
        assert circle(by_include(root)) == []
        for name in ("agent/a", "node/b"):
            os.makedirs(f"{root}/obj/daemon/{os.path.dirname(name)}", exist_ok=True)
            subprocess.run(["gcc", "-Idaemon", "-c", f"daemon/{name}.c", "-o",
                            f"obj/daemon/{name}.o"], check=True, cwd=root)
        assert circle(by_call(root, "obj/daemon")) == ["agent", "node", "agent"]
        write(root, "daemon/agent/a.h", '#include "node/b.h"\n')
        assert circle(by_include(root)) == ["agent", "node", "agent"]


def main():
    if "--self" in sys.argv:
        self_check()
        return 0
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    objects = os.path.join(os.environ.get("BUILD", "build"), "obj/daemon")
    good = report("#include", by_include(root))
    if os.path.isdir(os.path.join(root, objects)):
        good = report("calls", by_call(root, objects)) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
