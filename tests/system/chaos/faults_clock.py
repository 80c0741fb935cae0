"""Clocks: rates within the configured drift, and a MONOTONIC that steps while the raw clock goes on."""

from .schedule import action
from .stage import DRIFT_PPB, RESOURCES

NS = 1000000000


def awake(stage):
    return [h for h, clock in stage.cluster.clocks.items() if not clock.asleep()]


@action("rate", 6)
def rate(stage, step):
    hosts = awake(stage)
    if not hosts:
        return None
    host = hosts[step.first % len(hosts)]
    ppb = [-DRIFT_PPB, DRIFT_PPB, 0, step.second % (2 * DRIFT_PPB) - DRIFT_PPB][step.second % 4]
    stage.fault("rate").over()
    stage.cluster.clocks[host].drift(ppb)
    return f"{host}: {ppb / 1000:+.0f} ppm"


@action("step", 5)
def step_monotonic(stage, step):
    """
    What waits by MONOTONIC comes early or late by as much; it may cost the board its leases, and a guard
    that finds its clocks apart waits for an operator, who comes soon.
    """
    hosts = awake(stage)
    if not hosts:
        return None
    host = hosts[step.first % len(hosts)]
    seconds = [-3.0, -0.6, -0.1, 0.1, 0.6, 3.0][step.second % 6]
    fault = stage.fault("step", stage.costs_of([host]))
    stage.cluster.clocks[host].step(int(seconds * NS))
    stage.mark(host, "cut")

    def over():
        stage.mark(host, "joined")
        fault.over()
        if host in stage.running(stage.cluster.boards):
            for resource in [r for r, boards in RESOURCES.items() if host in boards]:
                stage.operator.start(host, ["fault", "clear", resource])
    stage.later(abs(seconds) + 0.5, over)
    return f"{host}: MONOTONIC {seconds:+.1f} s"
