"""What the long runs share: claims counted, and a cluster's figures sampled while it is attacked."""

import json
import os
import re
import threading

from cluster import wait_until
from raft_log import RaftLogs

RSS_MAX_KB = 6 * 1024  # of any holdfastd
METRIC = re.compile(r"^holdfast_(\w+)(?:\{[^}]*\})? (\S+)$", re.M)


class Verdict:
    """Counts claims; each is told with its figures."""

    def __init__(self, tell=True):
        self.passed = self.failed = 0
        self.tell = tell

    def judge(self, good, text):
        self.passed += bool(good)
        self.failed += not good
        if self.tell:
            print(f"{'ok  ' if good else 'FAIL'} {text}", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def metrics(cluster, issuer):
    """name -> sum of its rows; None while its console does not answer."""
    result = cluster.ctl(issuer, "metrics", check=False)
    if result.returncode != 0:
        return None
    out = {}
    for name, value in METRIC.findall(json.loads(result.stdout)["metrics"]):
        out[name] = out.get(name, 0) + float(value)
    out["lease_rows"] = result.stdout.count("holdfast_lease_token{")
    return out


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        text = file.read()
    return tuple(int(re.search(rf"{name}:\s+(\d+)", text)[1]) for name in ("VmRSS", "VmHWM"))


class Watch:
    """Samples a cluster: memory every second, counters when asked."""

    def __init__(self, cluster, names):
        self.cluster, self.names = cluster, names
        self.logs = RaftLogs(cluster)
        self.now, self.rss, self.peak = [{n: 0 for n in names} for _ in range(3)]
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stop.wait(1.0):
            self.look()

    def look(self):
        for name in self.names:
            process = self.cluster.processes.get(name)
            try:
                rss, peak = memory_kb(process.pid)
            except (AttributeError, OSError, TypeError):
                continue
            self.now[name] = rss
            self.rss[name] = max(self.rss[name], rss)
            self.peak[name] = max(self.peak[name], peak)

    def counters(self):
        """All issuers' counters now; asks again while a console does not answer."""
        try:
            return {issuer: wait_until(lambda i=issuer: metrics(self.cluster, i), 30,
                                       f"{issuer}'s console answers", poll=0.1)
                    for issuer in self.cluster.issuers}
        except AssertionError:
            self.cluster.keep = True
            for issuer in self.cluster.issuers:
                answer = self.cluster.ctl(issuer, "status", role="operator", check=False)
                print(f"{issuer}: status {answer.returncode}: {answer.stdout}{answer.stderr}; logs in"
                      f" {self.cluster.folder}", flush=True)
            raise

    def processor(self):
        return {n: processor_seconds(self.cluster.processes[n].pid) for n in self.names}

    def end(self):
        self.stop.set()
        self.thread.join()
        self.look()
