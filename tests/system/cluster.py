"""A whole Holdfast on loopback, for system tests, benchmarks and the demo.

Every cluster has a folder and a loopback address (127.x.y.z) of its own, so that any number of them
run side by side with the same port numbers. Everything that was started is ended by close(), by
process id. Nothing here decides whether a claim holds: tests ask, the witness trace answers, and
at its end lease_history judges the whole run.
"""

import atexit
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import lease_history

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.environ.get("HOLDFAST_BIN", os.path.join(ROOT, "build", "bin"))
# How long tests wait for a driver or a leader. It only bounds a hang, and is far more than either takes,
# since the machine may be busy with other tests. Whether it came in time is for each test to judge, by
# instants of the witness.
HANG_S = 60.0
_count = itertools.count()
_crashes = []  # in all clusters, sanitizers' reports too; any of them fails its test
_open = []  # clusters that are not closed yet
_violations = []  # of all clusters' histories; any of them fails its test


def now_ns():
    """The witness's clock."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


def own_address():
    """A loopback address that no other live process of this machine uses by this rule."""
    number = (os.getpid() * 8 + next(_count) % 8) % (64 * 256 * 250)
    rest, last = divmod(number, 250)
    return f"127.{64 + (rest >> 8)}.{rest & 255}.{1 + last}"


def wait_until(condition, timeout=10.0, what="condition", poll=0.002):
    """Polls; returns the first true value. The time limit only bounds a hang."""
    limit = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(poll)


class Cluster:
    """Issuers issuer-1.., boards board-a.., a bench with one actuator; see the arguments."""

    def __init__(self, issuers=3, boards=2, ttl_ms=1000, hold_ms=100, rate_hz=250, election_ms=300,
                 heartbeat_ms=50, gateway=False, watchdog_ms=None, response_ms=100, kind="pulse",
                 combined=False, release_ms=50, hooks=False, priorities=None, failback="manual",
                 resources=None, within_ms=20):
        self.folder = tempfile.mkdtemp(prefix="holdfast-")
        self.address = own_address()
        self.ttl_ms, self.hold_ms, self.rate_hz, self.within_ms = ttl_ms, hold_ms, rate_hz, within_ms
        self.election_ms, self.heartbeat_ms = election_ms, heartbeat_ms
        self.gateway, self.watchdog_ms, self.response_ms = gateway, watchdog_ms, response_ms
        self.kind, self.release_ms, self.hooks = kind, release_ms, hooks
        self.priorities, self.failback = priorities or {}, failback
        self.boards = [f"board-{chr(ord('a') + i)}" for i in range(boards)]
        # Which boards are candidates for which resource.
        self.resources = resources or {"pump": self.boards}
        self.preload = {}  # node -> shared object to interpose
        self.issuers = (self.boards + ["witness"])[:issuers] if combined else [
            f"issuer-{i + 1}" for i in range(issuers)]
        self.nodes = self.issuers + [b for b in self.boards if b not in self.issuers]
        self.processes = {}
        self.dead = []
        self.keep = False
        self.history = None  # as judged by close()
        self._trace_at = 0
        self._events = []
        _open.append(self)
        self._write_files()

    # ---- files

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def conf(self, node):
        return self.path(f"{node}.conf")

    def host(self, node):
        """The address of a node, or of the "bench": one for all, here."""
        return self.address

    def within(self, name, command):
        """What runs a program of this name (or the "operator"'s) where it belongs: here, here."""
        return command

    def console(self, node):
        return f"{self.host(node)}:{7500 + self.nodes.index(node)}"

    def gateway_address(self, board):
        return self.host(board), 1502 + self.boards.index(board)

    def _run_tool(self, *arguments):
        result = subprocess.run([os.path.join(BIN, "holdfastctl"), *arguments],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                check=False)
        if result.returncode != 0:
            raise AssertionError(f"holdfastctl {' '.join(arguments)}: {result.stderr}")
        return result.stdout

    def _write_files(self):
        self._run_tool("pki", "init", "--dir", self.path("pki"), "--cluster", "line-3")
        for node in self.nodes:
            self.issue(node, "node")
        self.issue("viewer", "viewer")
        self.issue("operator", "operator")
        for node in self.nodes:
            os.makedirs(self.path(node, "run"), exist_ok=True)
            os.makedirs(self.path(node, "data"), mode=0o700, exist_ok=True)
            self.write_conf(node)
        with open(self.path("bench.conf"), "w", encoding="ascii") as file:
            file.write(self._bench_text())

    def issue(self, name, role):
        self._run_tool("pki", "issue", "--dir", self.path("pki"), "--name", name, "--role", role)

    def write_conf(self, node, change=lambda text: text, name=None):
        """Writes a node's configuration; `change` gets and returns its text."""
        with open(name or self.conf(node), "w", encoding="ascii") as file:
            file.write(change(self._conf_text(node)))

    def _conf_text(self, node):
        quote = '"{}"'.format
        port = {issuer: 7400 + i for i, issuer in enumerate(self.issuers)}
        listed = ",\n".join(f'    {{ id = "{i}"; address = "{self.host(i)}:{port[i]}"; }}'
                            for i in self.issuers)
        listen = f"{self.host(node)}:{port.get(node, 7399)}"
        text = f"""node = {{ id = "{node}"; data_dir = "{node}/data"; run_dir = "{node}/run"; }};
cluster = {{ name = "line-3"; listen = "{listen}"; issuers = (
{listed} ); }};
tls = {{ ca = "pki/ca.crt"; cert = "pki/{node}.crt"; key = "pki/{node}.key"; }};
timing = {{ heartbeat_ms = {self.heartbeat_ms}; election_ms = {self.election_ms}; drift_ppm = 2000; }};
console = {{ listen = "{self.console(node)}"; }};
"""
        if node in self.issuers:
            policies = ",\n    ".join(
                f'{{ resource = "{name}"; holders = ( {", ".join(map(quote, holders))} );'
                ' ttl_max_ms = 5000; }' for name, holders in self.resources.items())
            text += f"issuer = {{ policy = ( {policies} ); }};\n"
        if node in self.boards:
            text += self._board_text(node)
        return text

    def _board_text(self, node):
        if self.kind == "pulse":
            output = (f'kind = "pulse"; chip = "gpiochip0"; line = %d; rate_hz = {self.rate_hz};'
                      f' hold_ms = {self.hold_ms};')
        else:
            output = 'kind = "gpio"; chip = "gpiochip0"; line = %d; covers = "process";'
        hooks = ""
        if self.hooks:
            hooks = f'on_acquired = "{self.path("hook")}"; on_lost = "{self.path("hook")}";'
        resources = ",\n  ".join(f"""{{ name = "{name}"; ttl_ms = {self.ttl_ms};
    priority = {self.priorities.get(node, 100)}; failback = "{self.failback}"; release_ms = {self.release_ms};
    {hooks}
    outputs = ( {{ name = "enable"; {output % (10 + number)}
                  readback = {{ chip = "gpiochip0"; line = {100 + number}; within_ms = {self.within_ms}; }}; }} ); }}"""
                                  for number, (name, boards) in enumerate(self.resources.items())
                                  if node in boards)
        text = f"""agent = {{ lease_log_kb = 65536; resources = ( {resources} ); }};
hal = {{ backend = "sim"; socket = "bench.sock"; }};
"""
        if self.watchdog_ms:
            text += f'watchdog = {{ device = "sim"; timeout_ms = {self.watchdog_ms}; }};\n'
        if self.gateway:
            host, port = self.gateway_address(node)
            text += f"""gateway = {{ listen = "{host}:{port}"; resource = "pump";
    actuators = ( {{ unit = 1; tcp = "{self.host('bench')}:5020"; response_ms = {self.response_ms}; }} ); }};
"""
        return text

    def _bench_text(self):
        boards = ", ".join(f'"{b}"' for b in self.boards)
        resources = ",\n    ".join(
            f'{{ name = "{name}"; lines = ( {{ name = "enable"; kind = "{self.kind}";'
            f' hold_ms = {self.hold_ms}; readback = true; }} ); }}' for name in self.resources)
        return f"""bench = {{ socket = "bench.sock"; ctl = "bench.ctl"; trace = "trace.jsonl";
  boards = ( {boards} );
  resources = ( {resources} );
  actuators = ( {{ name = "valve"; listen = "{self.host('bench')}:5020"; unit = 1; resource = "pump"; }} );
}};
"""

    # ---- processes

    def start(self, name, *command):
        """Starts a program under `name`; its log is appended to NAME.log."""
        log = open(self.path(f"{name}.log"), "ab")
        environment = dict(os.environ)
        if name in self.preload:
            environment.update(self.preload[name])
        command = self.within(name, [os.path.join(BIN, command[0]), *command[1:]])
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, cwd=self.folder)
        log.close()
        self.processes[name] = process
        return process

    def start_bench(self):
        self.start("bench", "holdfast-bench", "-c", self.path("bench.conf"))
        wait_until(lambda: "bench ready" in self.log("bench"), what="bench ready")

    def init(self, *issuers, above=None):
        """Begins a new cluster on these issuers, or all of them."""
        number = [] if above is None else ["--above", str(above)]
        for issuer in issuers or self.issuers:
            result = self.act(issuer, "--init", *number)
            if result.returncode != 0:
                raise AssertionError(f"{issuer}: --init: {result.stdout}{result.stderr}")

    def act(self, issuer, *words):
        """An offline act of holdfastd; its result."""
        return subprocess.run([os.path.join(BIN, "holdfastd"), "-c", self.conf(issuer), *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              cwd=self.folder, check=False)

    def start_daemon(self, node):
        return self.start(node, "holdfastd", "-c", self.conf(node))

    def start_guard(self, board):
        return self.start(f"{board}-guard", "holdfast-guard", "-c", self.conf(board))

    def start_gateway(self, board):
        return self.start(f"{board}-gateway", "holdfast-gateway", "-c", self.conf(board))

    def start_board(self, board):
        self.start_guard(board)
        self.start_daemon(board)
        if self.gateway:
            self.start_gateway(board)

    def start_all(self):
        self.init()
        self.start_bench()
        for issuer in self.issuers:
            if issuer not in self.boards:
                self.start_daemon(issuer)
        for board in self.boards:
            self.start_board(board)
        return self

    def board_processes(self, board):
        names = (board, f"{board}-guard", f"{board}-gateway")
        return [n for n in names if n in self.processes]

    def kill(self, *names, number=signal.SIGKILL):
        """Kills all of them as nearly at once as can be; returns the instant just before."""
        instant = now_ns()
        for name in names:
            self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            for name in names:
                self.processes.pop(name).wait()
        return instant

    def kill_board(self, board):
        return self.kill(*self.board_processes(board))

    def log(self, name):
        try:
            with open(self.path(f"{name}.log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def close(self, **expect):
        """
        Ends everything and judges the history. Returns the bench's exit status, 1 if the witness saw
        an overlap; or 1 after any violation, or with less in the history than expected (grants=2).
        Where something drove, there must be a grant and a renewal at least.
        """
        self.leave()
        bench = self.processes.pop("bench", None)
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name, process in self.processes.items():
            if -process.returncode in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL,
                                       signal.SIGFPE):
                _crashes.append(name)
                print(f"{name}: ended by signal {-process.returncode}:\n{self.log(name)[-2000:]}",
                      flush=True)
        self.processes = {}
        status = None
        if bench is not None:
            bench.terminate()
            try:
                status = bench.wait(5)
            except subprocess.TimeoutExpired:
                bench.kill()
                status = bench.wait()
        if self._find_sanitizer_reports() + self._find_violations(expect):
            status = status or 1
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        return status

    def leave(self):
        """From now on it runs until somebody else ends it."""
        if self in _open:
            _open.remove(self)

    def _find_violations(self, expect):
        """What the offline checker finds in trace and logs; told, and kept for run_tests()."""
        if not os.path.isdir(self.folder):
            return []
        self.history = lease_history.read_run(self.folder).judge()
        drove = min(1, self.history.total("drives"))
        found = self.history.expect(**{"grants": drove, "renewals": drove, **expect}).violations
        for line in found[:50]:
            print(f"history: {line}", flush=True)
        if found:
            self.keep = True
            print(f"history: {len(found)} violations; kept in {self.folder}", flush=True)
        _violations.extend(found)
        return found

    def _find_sanitizer_reports(self):
        """Programs built with sanitizers write what they found, leaks too, to their logs."""
        found = []
        for name in sorted(os.listdir(self.folder)) if os.path.isdir(self.folder) else []:
            text = self.log(name[:-4]) if name.endswith(".log") else ""
            at = min((i for i in (text.find("Sanitizer"), text.find("runtime error"),
                                  text.find("assertion failed")) if i >= 0), default=-1)
            if at >= 0:
                found.append(name)
                print(f"{name}:\n{text[max(0, at - 200):at + 4000]}", flush=True)
        _crashes.extend(found)
        return found

    # ---- questions

    def ctl(self, node, *arguments, role="viewer", check=True):
        """holdfastctl over the console; the parsed JSON answer (or text, if it is none)."""
        command = [os.path.join(BIN, "holdfastctl"), "-c", self.conf(node), "-H",
                   self.console(node), "--node", node, "--ca", self.path("pki", "ca.crt"), "--cert", self.path("pki", f"{role}.crt"),
                   "--key", self.path("pki", f"{role}.key"), "-o", "json", *arguments]
        result = subprocess.run(self.within("operator", command), stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, check=False)
        if not check:
            return result
        if result.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)} at {node}: status {result.returncode}: "
                                 f"{result.stdout}{result.stderr}")
        return json.loads(result.stdout)

    def ctl_stream(self, node, *arguments):
        """A holdfastctl that goes on (watch): the process, with its output as a pipe."""
        return subprocess.Popen(
            [os.path.join(BIN, "holdfastctl"), "-H", self.console(node), "--node", node, "--ca",
             self.path("pki", "ca.crt"), "--cert", self.path("pki", "viewer.crt"), "--key",
             self.path("pki", "viewer.key"), "-o", "json", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def bench_ctl(self, *arguments):
        result = subprocess.run([os.path.join(BIN, "holdfast-bench"), "ctl", "-s",
                                 self.path("bench.ctl"), *arguments], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise AssertionError(f"bench ctl {arguments}: {result.stdout}{result.stderr}")
        return result.stdout

    def events(self):
        """The whole witness trace so far, as parsed objects; a line half written waits."""
        with open(self.path("trace.jsonl"), "rb") as file:
            file.seek(self._trace_at)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._trace_at += end
        self._events += [json.loads(line) for line in data[:end].splitlines()]
        return self._events

    def drives(self, resource="pump"):
        return [e for e in self.events() if e["ev"] == "drive" and e["resource"] == resource]

    def driver(self, resource="pump"):
        """The board that the plant sees driving now, or None."""
        on = {e["board"]: e["level"] for e in self.drives(resource)}
        now = [board for board, level in on.items() if level]
        return now[0] if now else None

    def wait_driver(self, among=None, timeout=HANG_S):
        among = among or self.boards
        return wait_until(lambda: self.driver() if self.driver() in among else None, timeout,
                          f"a driver among {among}; logs in {self.folder}")

    def first_drive_after(self, instant, boards, level=1, timeout=HANG_S):
        """The first drive event of these boards after an instant."""
        def look():
            for event in self.drives():
                if event["t_ns"] > instant and event["board"] in boards and \
                        event["level"] == level:
                    return event
            return None
        return wait_until(look, timeout, f"drive {level} by {boards}; logs in {self.folder}")

    def losses(self, board, since):
        """
        What the guard of a board says of leases that it lost after an instant of the witness's clock.
        A gap in a pulse is none: without real-time priority a busy machine makes some.
        """
        began = time.time() - (now_ns() - since) / 1e9
        lines = []
        for line in self.log(f"{board}-guard").splitlines():
            stamp = re.match(r"(\d\d):(\d\d):(\d\d\.\d+) .*(-> dropping|-> fault)", line)
            if stamp is None:
                continue
            day = time.localtime(began)
            second = int(stamp[1]) * 3600 + int(stamp[2]) * 60 + float(stamp[3])
            start = day.tm_hour * 3600 + day.tm_min * 60 + day.tm_sec + began % 1
            if 0 <= (second - start) % 86400 < 43200:
                lines.append(line)
        return lines

    def overlaps(self):
        return [e for e in self.events() if e["ev"] == "overlap"]

    def leader(self, timeout=HANG_S):
        """The issuer that leads and serves, by its own word."""
        def look():
            for issuer in self.issuers:
                if issuer not in self.processes:
                    continue
                result = self.ctl(issuer, "leases", "--consistency", "local", check=False)
                if result.returncode == 0 and json.loads(result.stdout)["leader"]:
                    return issuer
            return None
        return wait_until(look, timeout, f"a leader; logs in {self.folder}", poll=0.02)

    def bound_ms(self, board=None):
        """The failover bound that `budget` prints for this configuration, in ms."""
        output = self._run_tool("-c", self.conf(board or self.boards[0]), "-o", "json", "budget")
        return json.loads(output)

    def rss_kb(self, name):
        with open(f"/proc/{self.processes[name].pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
        return 0


@atexit.register
def close_all():
    """Of a test that failed, too: its cluster's address is used again."""
    while _open:
        _open[-1].close()


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def run_tests(tests):
    """Runs functions in order; prints a line each and the count. Exit status for main."""
    passed = failed = 0
    only = sys.argv[1:]
    for test in tests:
        if only and test.__name__ not in only:
            continue
        started = time.monotonic()
        try:
            test()
            close_all()
            if _crashes:
                raise AssertionError(f"crashed, see above: {', '.join(_crashes)}")
            if _violations:
                raise AssertionError(f"{len(_violations)} violations in the history, see above")
            passed += 1
            print(f"ok   {test.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception as error:  # every failure is reported, none stops the rest
            failed += 1
            frames = traceback.extract_tb(error.__traceback__)
            print(f"FAIL {test.__name__}: {type(error).__name__}: {error}", flush=True)
            for frame in frames[1:]:
                print(f"     {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}")
        close_all()
        _crashes.clear()
        _violations.clear()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
