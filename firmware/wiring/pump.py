"""How long a charge pump holds after its last edge: python3 firmware/wiring/pump.py C1 C2 R1

C1 in nF, C2 in µF, R1 in kΩ, as in charge-pump.svg: from the pin through 330 Ω and C1, D1 to ground, D2 to C2 and R1, at
1,000 Hz. Over all tolerances: 3.3 V and 5 %, diodes 0.2 to 0.4 V, capacitors 10 %, R1 1 %, a threshold of 0.35 to 1.0 V.
"""

import itertools
import math
import sys

RATE_HZ, SERIES_OHM = 1000, 330
STEPS = 200  # of each half period
STEADY = 10  # times R1 * C2 is steady
VOLTS, DIODES, CAPACITORS, RESISTORS, THRESHOLDS = (3.135, 3.465), (0.2, 0.4), (0.9, 1.1), (0.99, 1.01), (0.35, 1.0)


class Pump:
    """One with these values, from its first edge until it is steady."""

    def __init__(self, volts, diode, c1, c2, r1):
        self.hold = r1 * c2
        self.after_one = self.low = self.high = 0.0  # at the gate, V: after one edge; once steady, in one period
        self.on_s = math.inf  # until it is above any threshold
        step = 0.5 / RATE_HZ / STEPS
        coupled = gate = 0.0
        halves = int(STEADY * self.hold * 2 * RATE_HZ)
        for half in range(halves):
            pin = 0.0 if half % 2 else volts
            if half >= halves - 2 and not self.high:
                self.low = gate
            for _ in range(STEPS):
                node = pin - coupled
                current = (node - gate - diode) / SERIES_OHM if node > gate + diode else \
                    (node + diode) / SERIES_OHM if node < -diode else 0.0
                coupled += current * step / c1
                gate += (max(current, 0.0) - gate / r1) * step / c2
                if half == 0:
                    self.after_one = max(self.after_one, gate)
                if half >= halves - 2:
                    self.low, self.high = min(self.low, gate), max(self.high, gate)
            if gate > max(THRESHOLDS) and self.on_s == math.inf:
                self.on_s = (half + 1) / 2 / RATE_HZ


class Worst:
    """Over all tolerances; times in ms."""

    def __init__(self, c1_nf, c2_uf, r1_kohm):
        pumps = [Pump(volts, diode, c1_nf * 1e-9 * of_c1, c2_uf * 1e-6 * of_c2, r1_kohm * 1e3 * of_r1)
                 for volts, diode, of_c1, of_c2, of_r1 in itertools.product(VOLTS, DIODES, CAPACITORS, CAPACITORS, RESISTORS)]
        self.lowest = min(pump.low for pump in pumps)
        self.after_one = max(pump.after_one for pump in pumps)
        self.on_ms = 1e3 * max(pump.on_s for pump in pumps)
        self.longest_ms = 1e3 * max(pump.hold * math.log(pump.high / min(THRESHOLDS)) for pump in pumps)
        self.shortest_ms = 1e3 * min(pump.hold * math.log(pump.low / max(THRESHOLDS)) for pump in pumps)

    def problem(self):
        """None, or why it will not do."""
        if self.shortest_ms <= 0:
            return f"gate {self.lowest:.2f} V at the least: not above the threshold of {max(THRESHOLDS)} V"
        if self.after_one >= min(THRESHOLDS):
            return f"one edge alone brings the gate to {self.after_one:.2f} V: not below the threshold of {min(THRESHOLDS)} V"
        return None


def main():
    try:
        values = [float(word) for word in sys.argv[1:]]
        if len(values) != 3 or min(values) <= 0:
            raise ValueError
    except ValueError:
        print("pump.py: C1 in nF, C2 in µF and R1 in kΩ are needed, all above 0: pump.py 82 1 22", file=sys.stderr)
        return 2
    worst = Worst(*values)
    if worst.problem():
        print(f"pump.py: {worst.problem()}", file=sys.stderr)
        return 1
    print(f"gate {worst.lowest:.2f} V at the least, {worst.after_one:.2f} V at the most after one edge alone; on after {worst.on_ms:.1f} ms"
          f" at the latest;\non for at most {worst.longest_ms:.1f} ms after the last edge, for at least {worst.shortest_ms:.1f} ms"
          " after one that was due")
    return 0


if __name__ == "__main__":
    sys.exit(main())
