"""When a majority of whole issuers was up and joined, and when one of them led: from marks and logs."""

import collections

Span = collections.namedtuple("Span", "begin end")
LISTENS = ": started in cluster"
VOTES_AGAIN = "this issuer votes again"


def events_of(stage):
    """(time.time(), order, issuer, what) of all that changes who could lead, in order."""
    entries, _, first = stage.logs.history()
    events = [(at, 0, issuer, what) for at, issuer, what in stage.marks]
    for issuer, log in stage.logs.logs.items():
        events += [(role.at, 2, issuer, role) for role in log.roles]
        events += [(at, 1, issuer, "whole" if VOTES_AGAIN in text else "listens")
                   for at, text in log.others if VOTES_AGAIN in text or LISTENS in text]
    for entry in entries:
        words = entry.why.split()
        if words[:1] == ["member"] and words[1] in ("promote", "remove"):
            events.append((first[entry.index], 1, words[2], f"member {words[1]}"))
    return sorted(events, key=lambda e: e[:3])


class Council:
    """The issuers as an observer who knows all marks sees them."""

    def __init__(self, issuers, voters):
        self.state = {i: "down" for i in issuers}
        self.voters, self.lost = set(voters), set()
        self.cuts = collections.Counter()
        self.leads, self.top = {}, 0

    def take(self, issuer, what):
        if not isinstance(what, str):
            if what.role == "leader":
                self.leads[issuer] = what.term
            else:
                self.leads.pop(issuer, None)
            self.top = max([self.top, *self.leads.values()])
        elif what in ("down", "paused"):
            self.state[issuer] = what
            if what == "down":
                self.leads.pop(issuer, None)
        elif what == "up":
            self.state[issuer] = "up" if self.state[issuer] == "paused" else "starts"
        elif what == "listens":
            self.state[issuer] = "up"
        elif what == "cut":
            self.cuts[issuer] += 1
        elif what == "joined":
            self.cuts[issuer] -= 1
        elif what in ("lost", "whole"):
            (self.lost.add if what == "lost" else self.lost.discard)(issuer)
        elif what == "member promote":
            self.voters.add(issuer)
        elif what == "member remove":
            self.voters.discard(issuer)

    def majority(self):
        healthy = [i for i in self.voters if self.state[i] == "up" and i not in self.lost
                   and self.cuts[i] <= 0]
        return 2 * len(healthy) > len(self.voters)

    def led(self):
        return any(self.state[i] == "up" and term == self.top for i, term in self.leads.items())


def spans_of(stage, until, holds):
    """The stretches in which holds(Council) was true, as Spans of time.time()."""
    issuers = stage.cluster.issuers
    council = Council(issuers, [i for i in issuers if i not in stage.spare])
    spans, since = [], None
    for at, _, issuer, what in events_of(stage) + [(until, 0, "", "end")]:
        if at > until:
            at = until
        if since is not None and at > since and not holds(council):
            spans.append(Span(since, at))
            since = None
        council.take(issuer, what)
        if holds(council):
            since = at if since is None else since
        elif since is not None:
            spans.append(Span(since, at))
            since = None
    if since is not None:
        spans.append(Span(since, until))
    return [s for s in spans if s.end > s.begin]


def leaderless(stage, until):
    """Stretches without a leader while a majority of whole issuers was up."""
    return spans_of(stage, until, lambda council: council.majority() and not council.led())


def without_majority(stage, until):
    return spans_of(stage, until, lambda council: not council.majority())


def leader_losses(stage):
    """
    Instants at which a leader went from office, for whatever reason; of one that was killed, when the
    next one came.
    """
    logs = stage.logs.read().logs.values()
    gone = [role.at for log in logs for former, role in
            zip(log.roles, log.roles[1:]) if former.role == "leader" != role.role]
    return sorted(gone + [role.at for log in logs for role in log.roles
                          if role.role == "leader"])
