#!/usr/bin/env python3
"""Are the laws still where they are cited? Ends with one line "N passed, M failed".

daemon/core/PROTOCOL.md writes a rule down as a paragraph that begins with **its-name**. Sources,
tests and documents cite it as "PROTOCOL.md, its-name" (more names follow behind a comma or "and"),
and mutants in their line `breaks:`. Checked here:
 - each name is defined once, and each citation names a rule or a claim that is there;
 - whatever name a document below emphasises is a rule;
 - whatever file, function or test it puts between backticks exists, and a `file.c` `function` in
   that file; its links lead somewhere;
 - a mutant that a rule calls its own cites that rule.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAWS = "daemon/core/PROTOCOL.md"
DOCUMENTS = (LAWS, "daemon/README.md", "daemon/core/README.md", "daemon/core/raft/README.md",
             "daemon/core/lease/README.md", "daemon/core/guard/README.md")
SOURCES = (".c", ".h", ".py", ".sh", ".md", ".pml", ".proto", ".conf", ".patch")
NAME = r"[a-z0-9]+(?:-[a-z0-9]+)+"
CLAIM = r"[SL]\d"
EITHER = rf"(?:{NAME}|{CLAIM})"
CITED = re.compile(rf"(?<!sim/)PROTOCOL\.md, ({EITHER}(?:(?:, | and ){EITHER})*)")
DEFINED = re.compile(rf"^\*\*({NAME})\*\* ", re.M)
CLAIMED = re.compile(rf"^\| ({CLAIM}) \| ", re.M)
EMPHASISED = re.compile(rf"\*\*({NAME})\*\*")
MUTANTS = re.compile(r"\bmutants? (\d+(?:(?:, | and )\d+)*)")
# Between backticks: a file with its ending, and an identifier of more than one part.
FILE = re.compile(r"[A-Za-z0-9_.*/-]+\.(?:c|h|md|py|sh|proto|pml)")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+\*?")
PAIR = re.compile(r"`([A-Za-z0-9_./-]+\.[ch])` `([A-Za-z0-9_]+)`")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as text:
        return text.read()


def tracked():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [path for path in listed.stdout.split("\n")
            if path and os.path.exists(os.path.join(ROOT, path))]


def unfolded(text):
    """On one line, without the marks that begin a line of a comment."""
    return re.sub(r"\s*\n[ \t]*(?:\*(?!/)|//|#|\+ ?\*|- ?\*)?[ \t]*", " ", text)


def check_citations(files, laws):
    names = DEFINED.findall(laws)
    twice = sorted({name for name in names if names.count(name) > 1})
    yield from (f"{LAWS}: {name} is defined twice" for name in twice)
    known = set(names) | set(CLAIMED.findall(laws))
    for path in files:
        if not path.endswith(SOURCES) or path == "toolchain/laws.py":
            continue
        for cited in CITED.findall(unfolded(read(path))):
            for name in re.split(r", | and ", cited):
                if name not in known:
                    yield f"{path}: cites {name}, which is no rule of {LAWS}"


def find(name, files, beside):
    """Paths from the root, from a folder of `beside`, or with a bare name anywhere."""
    pattern = re.compile(re.escape(name).replace(r"\*", r"[^/]*"))
    if "/" not in name:
        return [path for path in files if pattern.fullmatch(os.path.basename(path))]
    return [path for folder in beside for path in files
            if path.startswith(folder) and pattern.fullmatch(path[len(folder):])]


def check_document(path, text, files, words, laws):
    known = set(DEFINED.findall(laws))
    beside = ("", "daemon/", "daemon/core/", os.path.dirname(path) + "/")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for quoted in set(re.findall(r"`([^`\n]+)`", prose)):
        if FILE.fullmatch(quoted) and "FOLDER" not in quoted and "/NN-" not in quoted:
            if not find(quoted, files, beside):
                yield f"{path}: `{quoted}`: no such file"
        elif WORD.fullmatch(quoted):
            if quoted.endswith("*"):
                if not any(word.startswith(quoted[:-1]) for word in words):
                    yield f"{path}: `{quoted}`: nothing in the sources begins so"
            elif quoted not in words and not find(quoted + ".*", files, beside):
                yield f"{path}: `{quoted}`: not in the sources"
    for file, word in set(PAIR.findall(unfolded(text))):
        if not any(re.search(rf"\b{word}\b", read(found)) for found in find(file, files, beside)):
            yield f"{path}: `{word}` is not in `{file}`"
    yield from (f"{path}: **{name}** is no rule of {LAWS}"
                for name in sorted(set(EMPHASISED.findall(text)) - known))


def check_mutants(files, laws):
    """Those that a rule names as its own cite it."""
    breaks = {}
    for file in files:
        if file.startswith("tests/mutants/") and file.endswith(".patch"):
            header = unfolded(read(file).partition("\n--- ")[0])
            breaks[os.path.basename(file).partition("-")[0]] = header
    for part in laws.split("\n\n"):
        defined = DEFINED.match(part)
        for listed in MUTANTS.findall(unfolded(part)) if defined else ():
            for number in re.findall(r"\d+", listed):
                if f"PROTOCOL.md, {defined.group(1)}" not in breaks.get(number, ""):
                    yield f"{LAWS}: {defined.group(1)} names mutant {number}, which breaks another"


def check_links(path, text):
    """What a document points to as [words](file) or [words](#part)."""
    folder = os.path.dirname(os.path.join(ROOT, path))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, part = target.partition("#")
        if file.startswith("http"):
            continue
        where = os.path.normpath(os.path.join(folder, file)) if file else os.path.join(ROOT, path)
        if not os.path.exists(where):
            yield f"{path}: links to {target}: no such file"
        elif part:
            with open(where, encoding="utf-8") as document:
                heads = re.findall(r"^#+ (.*)$", document.read(), re.M)
            if part not in {re.sub(r"[^a-z0-9 _-]", "", head.lower()).replace(" ", "-")
                            for head in heads}:
                yield f"{path}: links to {target}: no such heading"


def main():
    files = tracked()
    laws = read(LAWS)
    words = set()
    for file in files:
        if file.endswith((".c", ".h", ".py", ".proto", ".pml", ".sh")):
            words.update(re.findall(r"[A-Za-z][A-Za-z0-9_]*", read(file)))
    results = [list(check_citations(files, laws)), list(check_mutants(files, laws))]
    for path in (path for path in DOCUMENTS if path in files):
        text = read(path)
        results.append(list(check_document(path, text, files, words, laws)))
    for path in (*DOCUMENTS, "README.md"):
        results.append(list(check_links(path, read(path))) if path in files else
                       [f"{path}: is not there"])
    for wrong in results:
        for line in wrong:
            print(line)
    failed = sum(1 for wrong in results if wrong)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
