"""What the issuers' own logs tell of a run: who led when, who recovered, and the replicated history.

Every issuer logs each change of its role and each entry that it applies. Read together they are a
record that no console need be asked for, under any attack.
"""

import collections
import re
import time

STAMP = re.compile(r"^(\d\d):(\d\d):(\d\d\.\d+) (.*)$")
ROLE = re.compile(r"^raft: (\S+) in term (\d+), leader (\S+)$")
ENTRY = re.compile(r"^(?:(\S+): )?entry (\d+): (?:holder (\S+), token (\d+), )?by ([^:]+?)(?:: (.*))?$")

Role = collections.namedtuple("Role", "at role term leader")
Entry = collections.namedtuple("Entry", "index resource holder token by why")


class RaftLog:
    """One issuer's log, read on from where it was left; `began`: time.time() before its first line."""

    def __init__(self, path, began):
        self.path, self.began = path, began
        self.at, self.rest = 0, ""
        self.roles, self.lines = [], 0
        self.entries = []  # (at, Entry)
        self.others = []  # (at, text) of the lines that are neither

    def _instant(self, hour, minute, second):
        day = time.localtime(self.began)
        start = day.tm_hour * 3600 + day.tm_min * 60 + day.tm_sec
        told = int(hour) * 3600 + int(minute) * 60 + float(second)
        return int(self.began) + (told - start) % 86400

    def read(self):
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                file.seek(self.at)
                text = file.read()
                self.at = file.tell()
        except FileNotFoundError:
            return self
        lines = (self.rest + text).split("\n")
        self.rest = lines.pop()
        self.lines += len(lines)
        for line in lines:
            stamp = STAMP.match(line)
            if stamp is None:
                continue
            at, text = self._instant(*stamp.groups()[:3]), stamp[4]
            role, entry = ROLE.match(text), ENTRY.match(text)
            if role:
                self.roles.append(Role(at, role[1], int(role[2]), role[3]))
            elif entry:
                self.entries.append((at, Entry(int(entry[2]), entry[1] or "", entry[3] or "none",
                                               int(entry[4] or 0), entry[5], entry[6] or "")))
            else:
                self.others.append((at, text))
        return self

    def said(self, words, since=0.0):
        """The instant of the first line with these words after `since`, or None."""
        return next((at for at, text in self.others if at >= since and words in text), None)


class RaftLogs:
    """Those of all issuers of a cluster."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.logs = {issuer: RaftLog(cluster.path(f"{issuer}.log"), time.time() - 1)
                     for issuer in cluster.issuers}

    def read(self):
        for log in self.logs.values():
            log.read()
        return self

    def leader(self, among):
        """The issuer of these whose last word is that it leads, in the highest term; or None."""
        self.read()
        led = [(log.roles[-1].term, issuer) for issuer, log in self.logs.items()
               if issuer in among and log.roles and log.roles[-1].role == "leader"]
        return max(led)[1] if led else None

    def lines(self):
        """Of each issuer's log, how many so far."""
        return {issuer: log.lines for issuer, log in self.read().logs.items()}

    def kinds(self):
        """How many lines there were of each kind: the same but for numbers and names."""
        counted = collections.Counter()
        for log in self.read().logs.values():
            counted.update(re.sub(r"[\d.:]*\d", "#", text)[:90] for _, text in log.others)
            counted["entries"] += len(log.entries)
            counted["roles"] += len(log.roles)
        return counted

    def history(self):
        """
        All that entries did, in order; what two issuers tell differently; and when each index was
        first applied. One entry may do several things, and an issuer may die between their lines.
        """
        told, differ, first = {}, [], {}
        for issuer, log in self.read().logs.items():
            own = collections.defaultdict(dict)  # index -> its lines, once each, in order
            for at, entry in log.entries:
                own[entry.index].setdefault(entry)
                first[entry.index] = min(at, first.get(entry.index, at))
            for index, lines in own.items():
                former = told.setdefault(index, (lines, issuer))
                if not (lines.keys() <= former[0].keys() or former[0].keys() <= lines.keys()):
                    differ.append(f"{former[1]} applied {list(former[0])}, {issuer} {list(lines)}")
                if len(lines) > len(former[0]):
                    told[index] = lines, issuer
        return [e for index in sorted(told) for e in told[index][0]], differ, first
