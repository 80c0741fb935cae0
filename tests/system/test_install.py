"""What `make install` puts on a board: everything, in its place, and it works from there."""

import glob
import os
import re
import shutil
import stat
import subprocess
import tempfile

from cluster import ROOT, run_tests

VERSION = re.search(r"^VERSION := (.*)$", open(os.path.join(ROOT, "Makefile"), encoding="utf-8").read(),
                    re.M).group(1)
FILES = f"""
755 usr/sbin/holdfastd usr/sbin/holdfast-guard usr/sbin/holdfast-gateway
755 usr/bin/holdfastctl usr/bin/holdfast-bench
644 usr/lib/libholdfast.so.{VERSION} usr/lib/libholdfast.a usr/include/holdfast.h usr/lib/pkgconfig/libholdfast.pc
644 usr/share/bash-completion/completions/holdfastctl
644 usr/lib/sysusers.d/holdfast.conf usr/lib/tmpfiles.d/holdfast.conf usr/lib/udev/rules.d/99-holdfast.rules
644 etc/security/limits.d/holdfast.conf
"""


def run(command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                          check=False, **more)


def install(**where):
    made = run(["make", "--no-print-directory", "install-files", *(f"{k}={v}" for k, v in where.items())], cwd=ROOT,
               env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")})
    assert made.returncode == 0, made


def installed():
    """A folder with all of it, made once."""
    if not hasattr(installed, "folder"):
        installed.folder = tempfile.mkdtemp(prefix="holdfast-install-")
        install(PREFIX="/usr", DESTDIR=installed.folder)
    return installed.folder


def in_tree(*path):
    return sorted(os.path.basename(p) for p in glob.glob(os.path.join(ROOT, *path, "*")))


def expected():
    """Path -> mode. What the tree has one folder of is installed whole."""
    files = {}
    for line in FILES.strip().splitlines():
        mode, *paths = line.split()
        files.update((path, int(mode, 8)) for path in paths)
    files.update((f"usr/share/man/man{name[-1]}/{name}", 0o644) for name in in_tree("firmware", "man"))
    files.update((f"usr/lib/systemd/system/{name}", 0o644) for name in in_tree("firmware", "systemd"))
    for name in in_tree("conf", "examples") + ["valve.c"]:
        files[f"usr/share/doc/holdfast/examples/{name}"] = 0o644
    return files


def every_file_is_in_its_place_and_no_other():
    root = installed()
    found, links = {}, {}
    for base, _, names in os.walk(root):
        for name in names:
            path = os.path.join(base, name)
            if os.path.islink(path):
                links[os.path.relpath(path, root)] = os.readlink(path)
            else:
                found[os.path.relpath(path, root)] = stat.S_IMODE(os.stat(path).st_mode)
    assert found == expected(), sorted(set(found.items()) ^ set(expected().items()))
    assert links == {"usr/lib/libholdfast.so.0": f"libholdfast.so.{VERSION}",
                     "usr/lib/libholdfast.so": "libholdfast.so.0"}, links
    assert os.path.isdir(os.path.join(root, "etc", "holdfast"))
    for path in found:
        with open(os.path.join(root, path), "rb") as file:
            assert re.search(rb"@[A-Z]+@", file.read()) is None or path.startswith("usr/sbin"), path


def programs_are_stripped_and_say_their_version():
    for path in (p for p, mode in expected().items() if mode == 0o755):
        program = os.path.join(installed(), path)
        assert ".debug_info" not in run(["readelf", "--section-headers", "--wide", program]).stdout, path
        if not path.endswith("-bench"):
            said = run([program, "--version"])
            assert said.stdout.strip() == f"{os.path.basename(path)} {VERSION}", said


def an_application_is_built_and_runs_with_the_installed_library():
    root = installed()
    environment = {**os.environ, "PKG_CONFIG_LIBDIR": os.path.join(root, "usr/lib/pkgconfig"),
                   "PKG_CONFIG_SYSROOT_DIR": root, "LD_LIBRARY_PATH": os.path.join(root, "usr/lib")}
    flags = run(["pkg-config", "--cflags", "--libs", "libholdfast"], env=environment)
    assert flags.returncode == 0, flags
    assert run(["pkg-config", "--modversion", "libholdfast"], env=environment).stdout.strip() == VERSION
    program = os.path.join(root, "valve")
    try:
        built = run(["gcc", "-std=c11", os.path.join(root, "usr/share/doc/holdfast/examples/valve.c"), "-o", program,
                     *flags.stdout.split()])
        assert built.returncode == 0, built
        needed = run(["readelf", "--dynamic", program]).stdout
        assert "[libholdfast.so.0]" in needed, needed
        started = run([program], env=environment)
        assert "usage" in started.stderr + started.stdout, started
    finally:
        if os.path.exists(program):
            os.unlink(program)


def the_library_shows_its_own_names_only():
    names = run(["nm", "-D", "--defined-only", os.path.join(installed(), "usr/lib/libholdfast.so")]).stdout
    shown = {line.split()[-1] for line in names.splitlines()}
    with open(os.path.join(installed(), "usr/include/holdfast.h"), encoding="utf-8") as file:
        declared = set(re.findall(r"^\w[\w ]*[ *](hf_\w+)\(", file.read(), re.M))
    assert shown == declared and shown, shown ^ declared


def completed(*words):
    """What bash offers for the last of these words."""
    folder = os.path.join(installed(), "usr/bin")
    script = ('source "$0"; COMP_WORDS=(holdfastctl "$@"); COMP_CWORD=$#; _holdfastctl holdfastctl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    said = run(["bash", "-euc", script, os.path.join(installed(), "usr/share/bash-completion/completions/holdfastctl"),
                *words], env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]}, cwd=folder)
    assert said.returncode == 0 and said.stderr == "", said
    return sorted(set(said.stdout.split()))


def completion_offers_what_the_command_table_has():
    usage = run([os.path.join(installed(), "usr/bin/holdfastctl"), "--help"]).stdout
    commands = sorted({line.split()[0] for line in re.findall(r"^  ([a-z].*)$", usage, re.M)})
    assert "leases" in commands and completed("") == commands, completed("")
    assert completed("st") == ["status"]
    assert completed("-c", "x.conf", "-o", "json", "fau") == ["fault"]
    assert completed("--key", "=", "some.key", "-H", "a", ":", "7443", "leas") == ["leases"]
    for words, offered in (
            (("leases", ""), []), (("leases", "-"), ["--consistency", "--json"]),
            (("leases", "--consistency", ""), ["leader", "local", "quorum"]), (("leases", "--consistency", "q"), ["quorum"]),
            (("pin", "pump", ""), ["none"]), (("pin", ""), []),
            (("fault", ""), ["clear"]), (("fault", "clear", ""), []),
            (("member", ""), ["add", "promote", "remove"]), (("member", "add", ""), []),
            (("history", "--"), ["--json", "--resource"]), (("history", "--resource", ""), []),
            (("pki", "i"), ["init", "issue"]), (("reference", ""), ["man"]),
            (("preflight", "--try"), ["--try-lines", "--try-watchdog"]),
            (("backup", "--"), ["--force", "--json", "--verify"]), (("backup", "holdfast-b"), ["holdfast-bench"]),
            (("provision", "--b"), ["--begin", "--board"]), (("provision", "--folder", "../b"), ["../bin"]),
            (("provision", "--board", "a", "--image", "holdfast-b"), ["holdfast-bench"]),
            (("provision", "--check", "holdfast-b"), ["holdfast-bench"]),
            (("-o", ""), ["json", "table"]), (("-c", "holdfast-b"), ["holdfast-bench"])):
        assert completed(*words) == offered, (words, completed(*words), offered)
    # Its own options are those that the program knows.
    for option in completed("-"):
        said = run([os.path.join(installed(), "usr/bin/holdfastctl"), option]).stderr
        assert "unknown option" not in said, said


if __name__ == "__main__":
    try:
        status = run_tests([every_file_is_in_its_place_and_no_other, programs_are_stripped_and_say_their_version,
                            an_application_is_built_and_runs_with_the_installed_library,
                            the_library_shows_its_own_names_only, completion_offers_what_the_command_table_has])
    finally:
        shutil.rmtree(getattr(installed, "folder", ""), ignore_errors=True)
    raise SystemExit(status)
