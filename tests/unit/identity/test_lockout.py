"""Guessing passwords."""

from hypothesis import given
from hypothesis import strategies as st

from ctid.identity.lockout import LOCK_S, NAME, PEER, Attempt, Lockout, Rule


def one(lockout: Lockout, now: float, name: str = "anna", peer: str = "p") -> tuple[Attempt, float]:
    """One wrong attempt, as soon as it may be; returns it and when it was."""
    attempt = lockout.attempt(name, peer, now)
    if attempt.wait_s:
        now += attempt.wait_s
        attempt = lockout.attempt(name, peer, now)
    assert attempt.wait_s == 0
    return attempt, now


def wrong(lockout: Lockout, times: int, now: float = 0.0) -> float:
    """So many wrong attempts; returns when the last was."""
    for _ in range(times):
        _, now = one(lockout, now)
    return now


def test_waits_double_after_three() -> None:
    """The first three are free; then it is 1, 2, 4 … seconds, and nothing is tried meanwhile."""
    lockout = Lockout()
    now, waits = 0.0, []
    for _ in range(9):
        wait_s = lockout.attempt("anna", "p", now).wait_s
        waits.append(wait_s)
        if wait_s:
            assert lockout.attempt("anna", "p", now + wait_s / 2).wait_s == wait_s / 2
            now += wait_s
            assert lockout.attempt("anna", "p", now).wait_s == 0
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32]


def test_the_tenth_locks() -> None:
    """It says that it locks, and for a quarter of an hour nothing is tried; then all begins anew."""
    lockout = Lockout()
    attempt, now = one(lockout, wrong(lockout, NAME.most - 1))
    assert attempt == Attempt(locks=True)
    assert lockout.attempt("anna", "p", now).wait_s == LOCK_S
    assert lockout.attempt("anna", "p", now + LOCK_S - 1).wait_s == 1
    assert lockout.attempt("anna", "p", now + LOCK_S) == Attempt()
    assert lockout.attempt("anna", "p", now + LOCK_S) == Attempt()


def test_a_name_is_locked_from_everywhere_but_where_she_is_known() -> None:
    """Guesses from one address lock the name for others, and not for her who has a session elsewhere."""
    lockout = Lockout()
    now = wrong(lockout, NAME.most)
    assert lockout.attempt("anna", "q", now).wait_s == LOCK_S
    assert lockout.attempt("anna", "q", now, known=True) == Attempt()
    lockout.succeeded("anna", "q")
    assert lockout.attempt("anna", "q", now) == Attempt()


def test_an_address_is_locked_whatever_names_it_tries() -> None:
    """One password for many names: the address waits, and is locked at last; a good login resets it not."""
    lockout = Lockout()
    now = 0.0
    for number in range(PEER.most):
        attempt, now = one(lockout, now, f"n{number}")
        assert attempt.locks is (number == PEER.most - 1)
    assert lockout.attempt("other", "p", now).wait_s == LOCK_S
    assert lockout.attempt("other", "q", now).wait_s == 0
    lockout.succeeded("other", "p")
    assert lockout.attempt("other", "p", now).wait_s > 0


def test_success_begins_anew() -> None:
    """A good password forgets the wrong ones of the name, also where nothing was counted."""
    lockout = Lockout()
    wrong(lockout, 2)
    lockout.succeeded("anna", "p")
    lockout.succeeded("bob", "elsewhere")
    assert [lockout.attempt("anna", "q", 0.0).wait_s for _ in range(3)] == [0, 0, 0]


def test_what_is_kept_is_bounded() -> None:
    """Of more names than are kept, the one that was tried longest ago is forgotten."""
    lockout = Lockout(Rule(1, 2), Rule(1000, 1001), most_keys=2)
    for name in "abc":
        assert lockout.attempt(name, "p", 0.0).wait_s == 0
    assert lockout.attempt("c", "p", 0.0).wait_s == 1
    assert lockout.attempt("a", "p", 0.0).wait_s == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("pq"), st.floats(0, 2000)), max_size=60))
def test_no_name_is_tried_more_often_than_the_rule(steps: list[tuple[str, str, float]]) -> None:
    """However attempts and pauses are mixed, in any quarter of an hour a name is tried ten times at most."""
    lockout, now = Lockout(), 0.0
    tried: dict[str, list[float]] = {"a": [], "b": []}
    for name, peer, pause_s in steps:
        now += pause_s
        if lockout.attempt(name, peer, now).wait_s == 0:
            tried[name].append(now)
    for times in tried.values():
        assert all(sum(one <= other < one + LOCK_S for other in times) <= NAME.most for one in times), times
