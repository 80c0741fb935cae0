"""What a run did and what it measured, for people."""

import collections

from . import figures, witnesses

Counter = collections.Counter


def counted(counter):
    return ", ".join(f"{name} {number}" for name, number in sorted(counter.items())) or "none"


def tell(run, starved):
    stage = run.stage
    begin, until = stage.faults_from, stage.ended
    length = until - begin
    outcomes = Counter(act.outcome for act in stage.operator.acts)
    passed, lost, delayed, worst_us, _ = stage.cluster.wires.counters()
    rows = [
        ("faults and acts", counted(run.done)),
        ("passed over", counted(run.skipped)),
        ("acts", counted(outcomes)),
        ("frames", f"{passed} passed, {lost} lost, {delayed} delayed, at most {worst_us} us late"),
        ("takeovers", figures.takeover_line(stage)),
        ("availability", ", ".join(f"{name} {100 * share:.1f} %" for name, share in
                                   figures.availability(stage, begin, until).items())
         + f" of {length / 1e9:.0f} s; with a majority and no pin to nobody "
         + ", ".join(f"{name} {100 * share:.1f} %" for name, share in
                     figures.availability_when_possible(stage, begin, until).items())),
        ("longest undriven", ", ".join(
            f"{resource} {length_ns / 1e9:.1f} s from {(at - stage.zero) / 1e9:.1f} s on"
            for length_ns, at, resource in figures.longest_gaps(stage, begin, until))),
        ("healed", healed_line(run)),
        ("pages", "{} stretches of validity, {} looks, at least every 5 ms for {:.1%} of the time".format(
            *witnesses.pages_seen(stage))),
        ("actuator", f"{len(witnesses.writes(stage))} writes by"
                     f" {counted(Counter(w.said for w in witnesses.writes(stage)))}"),
        ("computer", starved_line(starved, length)),
    ]
    for name, text in rows:
        print(f"     {name}: {text}", flush=True)
    tell_losses(run)


def healed_line(run):
    what = [{k: v for k, v in took.items() if k not in ("at", "until")} for took in run.heals]
    worst = Counter()
    for took in what:
        for name, value in took.items():
            worst[name] = max(worst[name], value)
    return f"{len(run.heals)} times; worst " + ", ".join(f"{k} {v:.2f} s" for k, v in worst.items())


def starved_line(starved, length):
    """Of each processor's waits, of work that took its time, and of the disk's."""
    parts = []
    for what, where in (("processor", "a processor came late"), ("work", "5 ms of work took long"),
                        ("disk", "the disk took long")):
        spans = [s.end - s.begin for s in starved if s.what == what]
        if spans:
            parts.append(f"{where} {len(spans)} times, {sum(spans) / length:.1%} of the time, worst"
                         f" {max(spans) / 1e6:.0f} ms")
    return "it starved: " + "; ".join(parts) if parts else "it never starved"


def tell_losses(run):
    bare, blamed = figures.needless(run.stage, run.recommended_ms)
    everything = figures.losses(run.stage)
    print(f"     leases given up: {len(everything)}, {counted(Counter(l.cause for l in everything))}"
          f"; needless {len(bare)}, and {len(blamed)} while the computer starved"
          f" (recommended ttl {run.recommended_ms:.0f} ms)", flush=True)
    for loss in bare[:10]:
        print(f"     needless: {loss.board} {loss.resource} at {(loss.at - run.stage.zero) / 1e9:.2f} s: {loss.cause}",
              flush=True)
