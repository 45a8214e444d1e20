import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.audit.chain import Link, make, without_payload
from ctid.audit.entries import Selection, agents_of, item_of, mentions, wants
from ctid.audit.export import COLUMNS, csv_of, safe_cell
from helpers.floor import BASE


@pytest.mark.parametrize(
    ("text", "number", "found"),
    [
        ("rappeler au 06 12 34 56 78 demain", "0612345678", True),
        ("rappeler au 06.12.34.56.78", "+33 6 12 34 56 78", True),
        ("+33612345678", "0612345678", True),
        ("06 12 34 56 79", "0612345678", False),
        ("poste 1001", "1001", True),
        ("poste 21001", "1001", False),
        ("no number", "", False),
        ("٠٦١٢", "0612", False),
    ],
)
def test_a_number_in_a_text(text: str, number: str, found: bool) -> None:  # noqa: FBT001 - a table's column
    """However its digits are grouped; a short one stands by itself."""
    assert mentions(text, number) is found


def test_an_erased_record_is_about_nobody() -> None:
    """Its payload is gone; when it was and which event stay, and no filter but those finds it."""
    record = without_payload(make(Link(), BASE, "active", {"by": "sofia", "agent": "1001"}, lambda: "00"))
    item = item_of(record)
    assert (item.event, item.by, item.agent, item.payload) == ("active", "", "", None)
    assert wants(Selection(event="active"), record)
    assert not wants(Selection(agent="1001"), record)


def test_agents_are_found_wherever_they_are_named() -> None:
    """In the session, the request or the entry itself; what is no text is none."""
    payload: dict[str, Any] = {
        "agent": "1",
        "supervision": {"agent": "2"},
        "request": {"agent": "1"},
        "about": 3,
    }
    assert agents_of(payload) == ["1", "2"]
    assert agents_of({"agent": 7, "supervision": {"agent": None}}) == []


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1"])
def test_no_cell_is_a_formula(formula: str) -> None:
    """A spreadsheet shows what somebody wrote, and carries out none of it."""
    assert safe_cell(formula) == f"'{formula}"
    text = csv_of([{"seq": 1, "payload": {"supervision": {"note": formula}}}])
    row = next(iter(csv.DictReader(io.StringIO(text, newline=""))))
    assert row["note"] == f"'{formula}"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_cell_is_read_again(text: str) -> None:
    """Quotes, commas and line breaks included; only a formula is marked."""
    written = csv_of([{"seq": 1, "detail": text, "payload": None}])
    (head, row) = list(csv.reader(io.StringIO(written, newline="")))
    assert tuple(head) == COLUMNS
    assert row[COLUMNS.index("detail")] in (text, f"'{text}")
    assert not row[COLUMNS.index("detail")].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_request_stands_for_its_session() -> None:
    """Of a refusal the columns of the session are what was asked for; an odd payload leaves them empty."""
    item = {"seq": 1, "event": "refused", "payload": {"request": {"mode": "barge", "note": "n"}}}
    odd = {"seq": 2, "event": "refused", "payload": {"request": "odd"}}
    rows = list(csv.DictReader(io.StringIO(csv_of([item, odd]), newline="")))
    assert [(row["mode"], row["note"]) for row in rows] == [("barge", "n"), ("", "")]
