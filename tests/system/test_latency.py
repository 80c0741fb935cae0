"""Figures and pictures of the guard's latency, and a short run of the measurement itself."""

import math
import re
import sys
import xml.etree.ElementTree as ElementTree

import histogram
import latency
from cluster import run_tests


def a_percentile_is_the_least_sample_that_so_many_do_not_exceed():
    ordered = list(range(1, 1001))
    assert histogram.percentile(ordered, 50) == 500
    assert histogram.percentile(ordered, 99) == 990
    assert histogram.percentile(ordered, 99.9) == 999
    assert histogram.percentile([7], 50) == 7


def a_percentile_that_few_samples_can_not_tell_is_left_out():
    assert [name for name, _ in histogram.figures(range(1, 1001))] == ["p50", "p99", "p99.9", "max"]
    assert [name for name, _ in histogram.figures(range(1, 1000))] == ["p50", "p99", "max"]
    assert [name for name, _ in histogram.figures(range(1, 100))] == ["p50", "max"]
    assert histogram.figures([]) == []


def a_time_has_two_digits_and_a_unit():
    texts = [histogram.time_text(us) for us in (-3, 0.4, 1, 9.94, 9.96, 12.4, 999.4, 999.6, 12345, 99999)]
    assert texts == ["< 1 µs", "< 1 µs", "1.0 µs", "9.9 µs", "10 µs", "12 µs", "999 µs", "1.0 ms", "12 ms", "100 ms"]


def every_sample_is_in_one_bin_whatever_its_size():
    samples = [-5, 0, 0.5, 1, 1.2, 9.999, 10, 99, 100, 1e9]
    shares = histogram.bins(samples, 0, 2)
    assert len(shares) == 2 * histogram.BINS_A_DECADE
    assert math.isclose(sum(shares), 1)
    assert math.isclose(shares[0], 5 / 10), "what is less than 1 us, and 1 to 1.26 us"
    assert math.isclose(shares[histogram.BINS_A_DECADE], 1 / 10), "10 us begins the second decade"
    assert math.isclose(shares[-1], 3 / 10), "what is more than the last decade is in its last bin"


def picture(scale=1.0):
    fast = [scale * (20 + i % 17) for i in range(5000)]
    slow = fast + [scale * 4000]
    beside = histogram.Series("observer", [5 + i % 3 for i in range(500)], beside=True)
    panels = [[histogram.Series("seen <&>", samples), beside] for samples in (fast, slow)]
    return histogram.render("title <&>", "note", ["idle", "under load"], [histogram.Row("fall", panels)] * 3)


def the_picture_is_whole_and_holds_every_bar_within_its_panel():
    root = ElementTree.fromstring(picture())
    space = "{http://www.w3.org/2000/svg}"
    width, height = (float(root.get(name)) for name in ("width", "height"))
    rectangles = [r for r in root.iter(f"{space}rect") if r.get("class") == "main"]
    assert len(rectangles) > 3 * 2 * 2
    for part in rectangles:
        x, y, wide, high = (float(part.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x and x + wide <= width and 0 <= y and y + high <= height and high > 0
    texts = [t.text for t in root.iter(f"{space}text")]
    assert any("seen <&>" in t and "p99.9" in t and "max 4.0 ms" in t for t in texts), texts
    assert {"1 µs", "10 ms", "100 %", "0.01 %"} <= set(texts), texts


def the_axis_grows_with_the_largest_sample():
    assert "1 s" in re.findall(r">([^<]+)</text>", picture(100))
    assert "1 s" not in re.findall(r">([^<]+)</text>", picture())


def a_fall_is_put_to_its_own_permit_and_an_early_one_counted():
    seen = latency.Seen()
    falls = [1_000_000, 11_050_000, 18_000_000, 31_000_500]
    latency.take_drops(seen, [(2_000_000, 11_000_000), (12_000_000, 21_000_000), (22_000_000, 31_000_000)], falls)
    assert (seen.drops, seen.early) == ([50.0, 0.5], 1)
    latency.take_kills(seen, [(17_000_000,), (31_000_000,)], falls)
    assert seen.kills == [1000.0, 0.5]
    try:
        latency.take_drops(seen, [(40_000_000, 41_000_000)], falls)
    except AssertionError as error:
        assert "never fell" in str(error)
    else:
        raise AssertionError("a permit without a fall went unnoticed")


def an_interval_counts_by_how_much_it_is_off_either_way():
    seen = latency.Seen()
    latency.take_intervals(seen, [0, 2_000_000, 4_100_000, 6_000_000], 2000)
    assert seen.intervals == [0, 100, 100]


def only_what_stands_between_the_marks_is_replaced():
    text = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n"
    assert latency.put_between(text, "x", "new\n") == "a\n<!-- x -->\nnew\n<!-- end of x -->\nb\n"
    try:
        latency.put_between(text, "y", "new\n")
    except AssertionError as error:
        assert "<!-- y -->" in str(error)
    else:
        raise AssertionError("marks that are missing went unnoticed")


def a_short_run_has_samples_of_everything():
    seen = latency.measure_host(loaded=False, seconds=1, kills=3)
    assert len(seen.drops) + seen.early >= 3 and len(seen.kills) == 3, (seen.drops, seen.kills)
    assert seen.intervals and seen.observer and seen.wakes
    assert max(seen.drops, default=0) >= 0 and seen.preflight_us >= 0
    text = latency.table([seen, seen], 1e6 / latency.RATE_HZ, "observer")
    assert all(len(line.split(" | ")) == 3 for line in text.splitlines()), text
    ElementTree.fromstring(latency.picture("short", [seen, seen], 2000))


if __name__ == "__main__":
    sys.exit(run_tests([
        a_percentile_is_the_least_sample_that_so_many_do_not_exceed,
        a_percentile_that_few_samples_can_not_tell_is_left_out,
        a_time_has_two_digits_and_a_unit,
        every_sample_is_in_one_bin_whatever_its_size,
        the_picture_is_whole_and_holds_every_bar_within_its_panel,
        the_axis_grows_with_the_largest_sample,
        a_fall_is_put_to_its_own_permit_and_an_early_one_counted,
        an_interval_counts_by_how_much_it_is_off_either_way,
        only_what_stands_between_the_marks_is_replaced,
        a_short_run_has_samples_of_everything,
    ]))
