"""Two books are compared as far as both go, and the first difference is named."""

from evenhand.alerts.books import Book, compare
from evenhand.codec import encode
from tests.unit.alerts.test_alerts import MINUTE, SLOW, T0, fired, resolved

FIRST, END = encode(fired(SLOW)), encode(resolved(SLOW, MINUTE))


def test_what_both_have_judged_is_compared_and_nothing_else() -> None:
    ours, theirs = Book([FIRST, END], {"m": T0 + MINUTE}), Book([FIRST], {"m": T0})
    assert (compare(ours, theirs).alerts, compare(ours, theirs).equal) == (1, True)
    assert compare(ours, Book([], {})).alerts == 0


def test_a_lack_or_another_value_is_a_difference() -> None:
    reached = {"m": T0 + MINUTE}
    lacking = compare(Book([FIRST, END], reached), Book([FIRST], reached))
    assert (lacking.equal, lacking.difference) == (False, resolved(SLOW, MINUTE))
    other = FIRST.replace(b"2000 ms", b"2001 ms")
    assert not compare(Book([FIRST], reached), Book([other], reached)).equal
