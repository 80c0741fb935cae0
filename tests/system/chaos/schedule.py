"""What comes when: drawn from the seed alone, before anything runs."""

import collections
import random

Step = collections.namedtuple("Step", "wait action first second span")
Action = collections.namedtuple("Action", "name weight calm work")

ACTIONS = {}  # name -> Action, by the modules that have the work
WAITS = (0.0, 0.02, 0.1, 0.3, 0.6, 1.0, 1.5)
SPANS = (0.01, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0)


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
    candidates when the step comes; `span` is how long its trouble lasts, in seconds.
    """
    chance = random.Random(seed)
    known = [name for name in sorted(ACTIONS) if not names or name in names]
    weights = [ACTIONS[name].weight for name in known]
    steps, at = [], 0.0
    while at < seconds:
        wait = chance.choice(WAITS) * (0.5 + chance.random())
        at += wait
        span = chance.choice(SPANS) * (0.5 + chance.random())
        steps.append(Step(wait, chance.choices(known, weights)[0], chance.randrange(1 << 16),
                          chance.randrange(1 << 16), span * max(0.4, ttl_ms / 1000)))
    return steps
