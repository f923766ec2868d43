"""What counts as growth in a long run."""

from __future__ import annotations

from gsync.lab.churn import Growths, survivors

MIB = 1024 * 1024


def test_half_of_the_peers_live_through_it() -> None:
    assert survivors(["a", "b", "c", "d"]) == ["a", "b"]
    assert survivors(["a", "b", "c"]) == ["a", "b"]


def test_what_fills_in_the_first_third_is_no_growth() -> None:
    growths = Growths()
    for second in range(91):
        growths.add("rss", "a", at_s=second, value=min(second, 30) * MIB)
    growth = growths.judge(["a"])["rss"]
    assert (growth.per_minute, growth.level, growth.is_flat) == (0, 30 * MIB, True)


def test_the_one_who_grows_most_is_judged_and_only_among_survivors() -> None:
    growths = Growths()
    for second in range(91):
        growths.add("descriptors", "a", at_s=second, value=40)
        growths.add("descriptors", "b", at_s=second, value=40 + second)
        growths.add("descriptors", "killed", at_s=second, value=100 * second)
        growths.add("greenlets", "a", at_s=second, value=90 - second)
    judged = growths.judge(["a", "b"])
    assert (judged["descriptors"].process, round(judged["descriptors"].per_minute)) == ("b", 60)
    assert not judged["descriptors"].is_flat
    assert judged["greenlets"].is_flat
