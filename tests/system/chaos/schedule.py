"""What comes when: drawn from the seed alone, before anything runs."""

import collections
import random

Step = collections.namedtuple("Step", "wait action first second span")
Action = collections.namedtuple("Action", "name weight calm work")

ACTIONS = {}  # name -> Action, by the modules that have the work
WAITS = (0.0, 0.02, 0.1, 0.3, 0.6, 1.0, 1.5)
SPANS = (0.01, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0)
PACES = (0.6, 1.0, 3.0, 8.0)  # a minute's waits are this many times as long
MINUTE_S = 60.0


def action(name, weight, calm=False):
    """
    Adds a step: work(stage, step) does it and returns what it did, or None if it can't be now. One
    that wants calm is begun only while all is up and whole.
    """
    def add(work):
        ACTIONS[name] = Action(name, weight, calm, work)
        return work
    return add


def schedule(seed, seconds, ttl_ms, names=None):
    """
    Steps, of these actions or all, until `seconds` are over. `first` and `second` choose among the
    candidates when the step comes; `span` is how long its trouble lasts, in seconds. Each minute has
    a pace and a mix of its own: in some everything is broken at once, in others one thing at a time,
    and of some kinds there is none.
    """
    chance = random.Random(seed)
    known = [name for name in sorted(ACTIONS) if not names or name in names]
    steps, at, until, pace, weights = [], 0.0, 0.0, 1.0, []
    while at < seconds:
        if at >= until:
            until, pace = until + MINUTE_S, chance.choice(PACES)
            weights = [ACTIONS[name].weight * chance.choice((0.05, 1, 1, 2)) for name in known]
        wait = chance.choice(WAITS) * (0.5 + chance.random()) * pace
        at += wait
        span = chance.choice(SPANS) * (0.5 + chance.random())
        steps.append(Step(wait, chance.choices(known, weights)[0], chance.randrange(1 << 16),
                          chance.randrange(1 << 16), span * max(0.4, ttl_ms / 1000)))
    return steps
