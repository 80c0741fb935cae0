"""From one cluster file to boards that run: their folders, a replaced card, and the same in an image."""

import json
import os
import re
import shutil
import struct
import subprocess
import tempfile

from cluster import BIN, ROOT, Cluster, now_ns, own_address, run_tests, wait_until

CTL = os.path.join(BIN, "holdfastctl")
MAN = os.path.join(ROOT, "firmware", "man", "holdfast.cluster.5")
PARTITION = 4 << 20  # where images have their FAT


def run(*command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False, **more)


def example():
    printed = run(CTL, "provision", "--example")
    assert printed.returncode == 0 and printed.stderr == "", printed
    return printed.stdout


def replaced(text, *changes):
    """Each change is (pattern, replacement), and happens once."""
    for pattern, replacement in changes:
        text, count = re.subn(pattern, lambda _, r=replacement: r, text)
        assert count == 1, (pattern, count, text)
    return text


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


class Provisioned(Cluster):
    """The cluster of --example on loopback. A board's folder is its card and its disk."""

    def __init__(self):
        self.hosts = {board: own_address() for board in ("board-a", "board-b", "witness")}
        super().__init__(issuers=3, boards=2, combined=True, kind="gpio")

    def host(self, node):
        return self.hosts.get(node, self.address)

    def conf(self, node):
        return self.path(node, "holdfast", "holdfast.conf")

    def console(self, node):
        return f"{self.host(node)}:7543"

    def cluster_file(self):
        """Addresses, ports and hardware are this machine's, the rest is the example's."""
        text = replaced(example(), (r"prefix = 24;.*\n.*gateway = .*", "prefix = 8; };"),
                        (r"common = \{.*", f"""common = {{ watchdog = {{ device = "sim"; timeout_ms = 2000; }};
  hal = {{ backend = "sim"; socket = "{self.path('bench.sock')}"; }}; agent = {{ lease_log_kb = 65536; }};
  cluster = {{ listen = "0.0.0.0:7500"; }}; }};"""))
        for number, (board, host) in enumerate(self.hosts.items()):
            text = replaced(text, (f'"192.168.7.{11 + number}"; issuer = true;', f'''"{host}"; issuer = true;
    conf = {{ node = {{ data_dir = "{self.path(board, 'data')}"; run_dir = "{self.path(board, 'run')}"; }};
             cluster = {{ listen = "{host}:{7400 + number}"; }}; console = {{ listen = "{host}:7543"; }}; }};'''))
        return text

    def _write_files(self):
        with open(self.path("line-3.cluster"), "w", encoding="ascii") as file:
            file.write(self.cluster_file())
        for board in self.hosts:
            self.make_disk(board)
            self.provision(board)
        os.symlink("line-3.pki", self.path("pki"))
        for name in ("viewer", "operator"):
            self.issue(name, name)
        with open(self.path("bench.conf"), "w", encoding="ascii") as file:
            file.write(self._bench_text().replace('"enable"', '"relay"'))

    def make_disk(self, board):
        """An empty data partition, and a card with nothing of ours."""
        os.makedirs(self.path(board, "run"), exist_ok=True)
        os.makedirs(self.path(board, "data"), mode=0o700, exist_ok=True)

    def provision(self, board, *words):
        """As an operator types it, in the folder of the cluster file."""
        made = run(CTL, "provision", "--board", board, "--folder", self.path(board), "--etc",
                   self.path(board, "holdfast"), *words, "line-3.cluster", cwd=self.folder)
        assert made.returncode == 0 and made.stderr == "", made
        return made.stdout

    def said(self, board):
        """The file `board` of its card."""
        return dict(line.split("=", 1) for line in read(self.path(board, "holdfast", "board")).decode().splitlines())

    def boot(self, board):
        """What a board's init does: begins what is to begin, once, then starts what it has."""
        if self.said(board)["first"] == "begin" and not os.listdir(self.path(board, "data")):
            self.init(board)
        if board in self.boards:
            self.start_board(board)
        else:
            self.start_daemon(board)


def three_cards_make_a_cluster_and_a_fourth_replaces_one():
    cluster = Provisioned()
    for board, host in cluster.hosts.items():
        assert cluster.said(board) == {"id": board, "cluster": "line-3", "address": f"{host}/8",
                                       "first": "begin"}, cluster.said(board)
        checked = run(CTL, "-c", cluster.conf(board), "check")
        assert checked.returncode == 0, checked
    cluster.start_bench()
    for board in cluster.hosts:
        cluster.boot(board)
    driver = cluster.wait_driver()
    held = cluster.ctl(cluster.leader(), "leases")["leases"][0]
    assert (held["resource"], held["holder"]) == ("pump", driver), held

    # The card of one that does not drive is lost: another, blank but for what provision writes.
    lost = "board-b" if driver == "board-a" else "board-a"
    cluster.kill_board(lost)
    old = read(cluster.path(lost, "holdfast", "node.crt"))
    shutil.rmtree(cluster.path(lost))
    cluster.make_disk(lost)
    asked = run(CTL, "provision", "--board", lost, "--folder", cluster.path(lost), "line-3.cluster",
                cwd=cluster.folder)
    assert asked.returncode == 1 and "--begin " in asked.stderr and "--replace " in asked.stderr, asked
    assert os.listdir(cluster.path(lost)) != [] and not os.path.exists(cluster.path(lost, "holdfast")), asked
    said = cluster.provision(lost, "--replace")
    assert "nothing is begun" in said and "destroy that card" in said, said
    assert cluster.said(lost)["first"] == "replace"
    assert read(cluster.path(lost, "holdfast", "node.crt")) != old
    since = now_ns()
    cluster.boot(lost)

    def whole():
        result = cluster.ctl(lost, "status", check=False)
        now = json.loads(result.stdout) if result.returncode == 0 else {}
        return now.get("recovery") == "none" and now["leader"] not in (None, "")
    wait_until(whole, 30, f"{lost} has learnt from the others; logs in {cluster.folder}", poll=0.05)
    wait_until(lambda: lost in cluster.ctl(cluster.leader(), "leases")["leases"][0]["waiters"].split(","), 30,
               f"{lost} waits for the lease; logs in {cluster.folder}", poll=0.05)
    now = cluster.ctl(cluster.leader(), "leases")["leases"][0]
    assert (now["holder"], now["token"]) == (driver, held["token"]), (now, held)
    assert not cluster.losses(driver, since)
    assert not cluster.overlaps() and cluster.close() == 0


# ---- images


def make_image(path, sectors=32768, table=True):
    """An MBR whose second partition is FAT, as mformat makes it. The first one is none."""
    with open(path, "wb") as file:
        file.truncate(PARTITION + sectors * 512)
        if table:
            start = PARTITION // 512
            file.seek(446)
            file.write(struct.pack("<8BII", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 2048))
            file.write(struct.pack("<8BII", 0, 0, 0, 0, 0x0E, 0, 0, 0, start, sectors))
        file.seek(510)
        file.write(b"\x55\xaa")
    made = mtools(path, "mformat", "-T", str(sectors), "-h", "16", "-s", "32", "-v", "HOLDFAST", "::")
    assert made.returncode == 0, made


def mtools(path, program, *words):
    return run(program, "-i", f"{path}@@{PARTITION}", *words, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})


def in_image(path, scratch):
    """The files of its folder holdfast: name -> bytes."""
    folder = tempfile.mkdtemp(dir=scratch)
    copied = mtools(path, "mcopy", "-s", "-n", "::holdfast", folder)
    if copied.returncode != 0:
        return {}
    return {name: read(folder, "holdfast", name) for name in os.listdir(os.path.join(folder, "holdfast"))}


class Scratch:
    """A folder with the example's cluster file and a key of an operator's."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-cards-")
        self.write("line-3.cluster", replaced(example(), ("# ssh_keys", "ssh_keys")))
        self.write("operators.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 alice\n")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def provision(self, *words):
        return run(CTL, "provision", *words, "line-3.cluster", cwd=self.folder)


def an_image_gets_the_same_files_as_a_folder():
    with Scratch() as work:
        make_image(work.path("card.img"))
        made = work.provision("--board", "board-a", "--image", "card.img")
        assert made.returncode == 0 and made.stderr == "", made
        found = in_image(work.path("card.img"), work.folder)
        os.mkdir(work.path("card"))
        assert work.provision("--board", "board-a", "--folder", "card", "--begin").returncode == 0
        wanted = {name: read(work.path("card", "holdfast"), name) for name in os.listdir(work.path("card", "holdfast"))}
        assert found == wanted and len(found) == 6, (sorted(found), sorted(wanted))
        assert b"first=begin\n" in found["board"] and b"alice" in found["authorized_keys"], found
        # Who flashes it is told whose card it is.
        flashed = run("/usr/bin/python3", "-B", "-m", "flash", "--image", work.path("card.img"), "--yes", "--create",
                      work.path("out.img"), env={**os.environ, "PYTHONPATH": os.path.join(ROOT, "firmware")})
        assert "it is board-a of the cluster line-3 (address 192.168.7.11/24, first begin)" in flashed.stdout, flashed
        # What stood beside the keys for mtools is gone.
        assert sorted(os.listdir(work.path("line-3.pki"))) == ["board-a.crt", "board-a.key", "ca.crt", "ca.key"]
        # Over what is there; and who may log in no more is gone.
        work.write("line-3.cluster", example())
        assert work.provision("--board", "board-a", "--image", "card.img", "--replace").returncode == 0
        found = in_image(work.path("card.img"), work.folder)
        assert sorted(found) == sorted(set(wanted) - {"authorized_keys"}), sorted(found)
        assert b"first=replace\n" in found["board"] and found["node.key"] != wanted["node.key"], found


def a_full_image_is_no_whole_card_and_leaves_no_certificate():
    with Scratch() as work:
        make_image(work.path("card.img"), sectors=8192)
        assert work.provision("--board", "board-a", "--image", "card.img").returncode == 0
        work.write("filler", "")
        os.truncate(work.path("filler"), 8192 * 512)
        mtools(work.path("card.img"), "mdel", "::holdfast/holdfast.conf", "::holdfast/authorized_keys")
        mtools(work.path("card.img"), "mcopy", work.path("filler"), "::filler")
        free = int(re.search(r"([\d ]+) bytes free", mtools(work.path("card.img"), "mdir", "::").stdout)[1].replace(" ", ""))
        os.truncate(work.path("filler"), free - 2048)
        filled = mtools(work.path("card.img"), "mcopy", work.path("filler"), "::filler")
        assert filled.returncode == 0, filled
        full = work.provision("--board", "board-b", "--image", "card.img")
        assert full.returncode == 1 and full.stdout == "", full
        assert re.fullmatch(r"holdfastctl: card\.img: mcopy: .*(full|space).*\n", full.stderr, re.I), full
        assert "board" not in in_image(work.path("card.img"), work.folder)
        assert not os.path.exists(work.path("line-3.pki", "board-b.crt"))


def what_is_no_image_is_refused_before_anything_is_made():
    with Scratch() as work:
        make_image(work.path("bare.img"), table=False)
        work.write("text.img", "words\n" * 200)
        make_image(work.path("broken.img"))
        with open(work.path("broken.img"), "r+b") as file:
            file.seek(PARTITION)
            file.write(b"\x00" * 64)
        for image, words in (("bare.img", "no FAT partition in its MBR"), ("text.img", "no partition table"),
                             ("broken.img", "mdir: "), ("none.img", "No such file"), (".", "Is a directory")):
            refused = work.provision("--board", "board-a", "--image", image)
            assert refused.returncode == 1 and refused.stdout == "", refused
            assert refused.stderr.startswith(f"holdfastctl: {image}: ") and words in refused.stderr, refused
            assert refused.stderr.count("\n") == 1, refused
        lacking = run(CTL, "provision", "--board", "board-a", "--image", work.path("broken.img"), "line-3.cluster",
                      cwd=work.folder, env={**os.environ, "PATH": work.folder})
        assert lacking.returncode == 1 and "package mtools" in lacking.stderr, lacking
        assert not os.path.exists(work.path("line-3.pki"))


# ---- words


def the_man_page_has_the_example_and_every_key():
    with open(MAN, encoding="utf-8") as file:
        page = file.read()
    assert example() in page
    keys = re.findall(r'^    \{ "([a-z_.\[\]]+)", CONF_TYPE_', read(ROOT, "daemon", "provision", "cluster.c").decode(), re.M)
    assert "boards[].issuer" in keys and len(keys) > 10, keys
    assert re.findall(r"^\.TP\n\.B ([a-z_.\[\]]+)$", page, re.M) == keys


def check_tells_what_is_wrong_and_where():
    with Scratch() as work:
        good = work.provision("--check")
        assert good.returncode == 0 and good.stderr == "", good
        assert re.search(r"^pump: failover bound \d+ ms, .* \d+ ms if that board led", good.stdout, re.M), good
        text = replaced(example(), ("line = 17;", "line = -3;"))
        work.write("line-3.cluster", text)
        bad = work.provision("--check")
        number = text[:text.index("line = -3;")].count("\n") + 1
        assert bad.returncode == 1 and bad.stdout == "", bad
        assert bad.stderr == (f"line-3.cluster:{number}: resources[0].outputs[0].line: -3, must be a whole number, "
                              "0 to 1023 (board-a and 1 more)\n"), bad


if __name__ == "__main__":
    raise SystemExit(run_tests([
        three_cards_make_a_cluster_and_a_fourth_replaces_one, an_image_gets_the_same_files_as_a_folder,
        a_full_image_is_no_whole_card_and_leaves_no_certificate, what_is_no_image_is_refused_before_anything_is_made,
        the_man_page_has_the_example_and_every_key, check_tells_what_is_wrong_and_where]))
