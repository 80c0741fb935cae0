"""Samples of a latency, told in figures and drawn as histograms: percentiles, and an SVG without any library.

Pure: lists of microseconds in, text out. Both axes are logarithmic, since one sample of ten thousand is
what a fence latency has to bear. The picture brings its own background, and has a dark and a light dress.
"""

import math
from xml.sax.saxutils import escape

BINS_A_DECADE = 10
LEAST_US = 1.0  # what is less is drawn as this much
PERCENTILES = ((50, "p50"), (99, "p99"), (99.9, "p99.9"))

WIDTH, PLOT_WIDTH, PLOT_HEIGHT = 960, 402, 120
LEFT, GAP, TOP = 62, 62, 78
ROW_HEAD, AXIS, LEGEND_LINE, ROW_GAP = 26, 38, 16, 4
STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de; }
  text { font: 12px sans-serif; fill: #424a53; }
  .title { font-size: 15px; font-weight: bold; fill: #1f2328; }
  .head { font-weight: bold; fill: #1f2328; }
  .figures { font-size: 11px; }
  .tick { font-size: 11px; }
  .grid { stroke: #e3e7eb; }
  .axis { stroke: #8c959f; }
  .main { fill: #2f6fb5; }
  .beside { fill: none; stroke: #d0762b; stroke-width: 1.6; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #12171e; stroke: #30363d; }
    text { fill: #aeb7c1; }
    .title, .head { fill: #e6edf3; }
    .grid { stroke: #232a33; }
    .axis { stroke: #6b7682; }
    .main { fill: #4a8fd8; }
    .beside { stroke: #f0a35c; }
  }"""


class Series:
    """What is drawn: a name and its samples in us. `beside` is drawn as a line over the bars."""

    def __init__(self, name, samples, beside=False):
        self.name, self.samples, self.beside = name, sorted(samples), beside


class Row:
    """One quantity: `panels` is a list of series for each column."""

    def __init__(self, head, panels):
        self.head, self.panels = head, panels


# ---- figures


def percentile(ordered, percent):
    """The smallest sample that at least so many per cent do not exceed; `ordered` is not empty."""
    # Rounded first: 99.9 % of 1000 is not 999.0000000000001 samples.
    return ordered[max(0, math.ceil(round(len(ordered) * percent / 100, 6)) - 1)]


def known(ordered, percent):
    """Whether there are samples enough beyond the percentile to tell it from the worst one."""
    return len(ordered) * (100 - percent) >= 100 - 1e-6


def time_text(us):
    """Two digits, and a unit that fits: "0.8 us" is below what is measured."""
    if us < 1:
        return "< 1 µs"
    value, unit = (us, "µs") if us < 999.5 else (us / 1000, "ms")
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def figures(samples):
    """[(name, text)]: the percentiles that the samples suffice for, and the largest one."""
    ordered = sorted(samples)
    if not ordered:
        return []
    told = [(name, time_text(percentile(ordered, percent)))
            for percent, name in PERCENTILES if known(ordered, percent)]
    return told + [("max", time_text(ordered[-1]))]


# ---- bins


def limits(rows):
    """The decades (from, to) that hold all samples, as exponents of 10 in us."""
    every = [sample for row in rows for panel in row.panels for series in panel for sample in series.samples]
    worst = max([LEAST_US * 10, *every])
    return math.floor(math.log10(LEAST_US)), math.ceil(math.log10(worst) - 1e-9)


def bins(samples, first, last):
    """Shares of the samples by bin, BINS_A_DECADE for each decade from 10^first to 10^last us."""
    counts = [0] * ((last - first) * BINS_A_DECADE)
    for sample in samples:
        at = math.floor((math.log10(max(sample, LEAST_US)) - first) * BINS_A_DECADE + 1e-9)
        counts[min(max(at, 0), len(counts) - 1)] += 1
    return [count / len(samples) for count in counts]


def floor_of(rows):
    """The exponent of the least share: below one sample of the longest series."""
    longest = max([1, *(len(series.samples) for row in rows for panel in row.panels for series in panel)])
    return math.floor(math.log10(0.5 / longest))


# ---- drawing


class _Scale:
    def __init__(self, rows):
        self.first, self.last = limits(rows)
        self.floor = floor_of(rows)

    def x(self, decade):
        return PLOT_WIDTH * (decade - self.first) / (self.last - self.first)

    def height(self, share):
        if share <= 0:
            return 0.0
        return PLOT_HEIGHT * (math.log10(share) - self.floor) / -self.floor


def _text(x, y, text, name="", anchor="start"):
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _share_text(exponent):
    return f"{10 ** (exponent + 2):.10f}".rstrip("0").rstrip(".") + " %"


def _decade_text(exponent):
    return f"{10 ** exponent} µs" if exponent < 3 else f"{10 ** (exponent - 3)} ms" if exponent < 6 \
        else f"{10 ** (exponent - 6)} s"


def _axes(x, y, scale):
    bottom = y + PLOT_HEIGHT
    yield from (f'<line class="grid" x1="{x:.1f}" x2="{x + PLOT_WIDTH:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
                for at in (bottom - scale.height(10.0 ** e) for e in range(scale.floor, 1)))
    for exponent in range(scale.floor, 1):
        yield _text(x - 6, bottom - scale.height(10.0 ** exponent) + 4, _share_text(exponent), "tick", "end")
    for decade in range(scale.first, scale.last + 1):
        at = x + scale.x(decade)
        yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{y:.1f}" y2="{bottom:.1f}"/>'
        yield _text(at, bottom + 16, _decade_text(decade), "tick", "middle")
    yield f'<line class="axis" x1="{x:.1f}" x2="{x + PLOT_WIDTH:.1f}" y1="{bottom:.1f}" y2="{bottom:.1f}"/>'


def _bars(x, y, shares, scale):
    width = PLOT_WIDTH / len(shares)
    for number, share in enumerate(shares):
        if share > 0:
            high = scale.height(share)
            yield (f'<rect class="main" x="{x + number * width + 0.4:.1f}" y="{y + PLOT_HEIGHT - high:.1f}" '
                   f'width="{width - 0.8:.1f}" height="{high:.1f}"/>')


def _outline(x, y, shares, scale):
    """A step for each bin that is not empty; what lies side by side is one line."""
    width, bottom, path, high = PLOT_WIDTH / len(shares), y + PLOT_HEIGHT, [], False
    for number, share in enumerate([*shares, 0]):
        at = x + number * width
        if share > 0:
            path.append(f"{'' if high else f'M{at:.1f} {bottom:.1f}'}V{bottom - scale.height(share):.1f}H{at + width:.1f}")
        elif high:
            path.append(f"V{bottom:.1f}")
        high = share > 0
    yield f'<path class="beside" d="{"".join(path)}"/>'


def _legend(x, y, series):
    if series.beside:
        yield f'<line class="beside" x1="{x:.1f}" x2="{x + 12:.1f}" y1="{y - 4:.1f}" y2="{y - 4:.1f}"/>'
    else:
        yield f'<rect class="main" x="{x:.1f}" y="{y - 9:.1f}" width="12" height="9"/>'
    told = ", ".join(f"{name} {text}" for name, text in figures(series.samples))
    yield _text(x + 18, y, f"{series.name} ({len(series.samples):,}): {told or 'none'}", "figures")


def _panel(x, y, panel, scale):
    yield from _axes(x, y, scale)
    for series in sorted(panel, key=lambda s: s.beside):
        if series.samples:
            draw = _outline if series.beside else _bars
            yield from draw(x, y, bins(series.samples, scale.first, scale.last), scale)
    for number, series in enumerate(panel):
        yield from _legend(x, y + PLOT_HEIGHT + AXIS + number * LEGEND_LINE, series)


def render(title, note, columns, rows):
    """The SVG's text: a title, a note below it, and a panel for each column of each row."""
    scale = _Scale(rows)
    lines = max(len(panel) for row in rows for panel in row.panels)
    step = ROW_HEAD + PLOT_HEIGHT + AXIS + lines * LEGEND_LINE + ROW_GAP
    height = TOP + len(rows) * step
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
           f'height="{height}" role="img">', f"<title>{escape(title)}</title>", f"<style>{STYLE}\n</style>",
           f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
           _text(16, 26, title, "title"), _text(16, 45, note)]
    for number, column in enumerate(columns):
        out.append(_text(LEFT + number * (PLOT_WIDTH + GAP), 70, column, "head"))
    for index, row in enumerate(rows):
        y = TOP + index * step
        out.append(_text(LEFT, y + 16, row.head, "head"))
        for number, panel in enumerate(row.panels):
            out += _panel(LEFT + number * (PLOT_WIDTH + GAP), y + ROW_HEAD, panel, scale)
    return "\n".join([*out, "</svg>"]) + "\n"
