import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctid.coaching import sheets
from ctid.coaching.sheets import Criterion, Grades, Session, Sheet
from ctid.model.entities import Supervision
from ctid.model.errors import InvalidRequest, NotFound, SheetRefused
from ctid.model.ids import AgentId, CallId, PbxId, SheetId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import Mode, Purpose, SupervisionState
from helpers.floor import BASE

ANNA, SOFIA = AgentId("1001"), User(name="sofia", role=UserRole.SUPERVISOR)
LIVE = Supervision(
    id=SupervisionId("s1"),
    pbx=PbxId("lab"),
    state=SupervisionState.ACTIVE,
    mode=Mode.LISTEN,
    since=BASE,
    started_at=BASE,
    supervisor="sofia",
    phone="desk",
    agent=ANNA,
    call=CallId("lab.c1"),
    purpose=Purpose.TRAINING,
)
GRID = (Criterion(id="greeting", label="Greeting"), Criterion(id="closing"))
GRADES = st.dictionaries(st.sampled_from(["greeting", "closing"]), st.none() | st.integers(1, 5))


def part(**fields: object) -> Session:
    """The session's part with 1001."""
    found = sheets.session_of(replace(LIVE, **fields), None, "north")
    assert found is not None
    return found


def sheet(grades: Grades | None = None, text: str = "calm") -> Sheet:
    """A sheet, editable for an hour."""
    return sheets.written(SheetId("c1"), part(), GRID, grades or {}, text, now=BASE, edit_s=3600.0)


def test_what_a_session_leaves() -> None:
    """With whom it was, and since when; a call that is over is still the one it was in."""
    first = part()
    assert (first.agent, first.call, first.began_at, first.ended_at) == (ANNA, "lab.c1", BASE, None)
    later = Instant(BASE + 60)
    over = replace(LIVE, state=SupervisionState.ENDED, call=None, since=later, ended_at=later)
    last = sheets.session_of(over, first, "south")
    assert last == replace(first, ended_at=later)
    assert sheets.session_of(over, None, "north") == replace(first, ended_at=later, began_at=later, call=None)
    assert sheets.session_of(replace(LIVE, agent=None), None, "") is None


def test_whom_a_sheet_is_about() -> None:
    """The one agent of her session; of several the one she names, and never of another's session."""
    anna, emma = part(), replace(part(), agent=AgentId("1002"))
    assert sheets.chosen(SOFIA, "s1", [anna], None) == anna
    assert sheets.chosen(SOFIA, "s1", [anna, emma], "1002") == emma
    with pytest.raises(InvalidRequest, match="followed 1001, 1002") as refused:
        sheets.chosen(SOFIA, "s1", [anna, emma], None)
    assert refused.value.field == "agent"
    with pytest.raises(InvalidRequest, match="not with 1003"):
        sheets.chosen(SOFIA, "s1", [anna], "1003")
    for found in ([], [replace(anna, supervisor="paul")]):
        with pytest.raises(NotFound, match="no supervision"):
            sheets.chosen(SOFIA, "s1", found, None)


def test_what_is_on_a_sheet() -> None:
    """The whole grid in its order, with the labels of then; what is not graded is none."""
    told = sheet({"closing": 5})
    assert [(one.id, one.label, one.grade) for one in told.grades] == [
        ("greeting", "Greeting", None),
        ("closing", "closing", 5),
    ]
    assert (told.author, told.agent, told.version, told.text) == ("sofia", ANNA, 1, "calm")
    assert told.editable_until == BASE + 3600


def test_what_is_none() -> None:
    """A criterion that the grid lacks, and a sheet that says nothing, are refused by field."""
    with pytest.raises(
        InvalidRequest, match="'warmth' is not in the grid; there are: greeting, closing"
    ) as error:
        sheet({"warmth": 3})
    assert error.value.field == "grades"
    with pytest.raises(InvalidRequest, match="give a grade or a text"):
        sheet({"closing": None}, text=" ")


def test_its_next_version() -> None:
    """What is left out stays, a grade of none goes; after its time nothing does."""
    told = sheets.mended(sheet({"closing": 5}), {"closing": None, "greeting": 2}, None, Instant(BASE + 10))
    assert (told.version, told.text, told.changed_at) == (2, "calm", BASE + 10)
    assert [one.grade for one in told.grades] == [2, None]
    assert sheets.mended(told, {}, "shorter", Instant(BASE + 20)).text == "shorter"
    with pytest.raises(SheetRefused) as refused:
        sheets.mended(told, {}, "late", told.editable_until)
    assert (refused.value.code, refused.value.status) == ("sheet.closed", 409)


def test_her_answer() -> None:
    """It says to which version, and changes nothing that the author wrote."""
    told = sheets.commented(sheet(), "thanks", Instant(BASE + 5))
    assert told.comment is not None
    assert (told.comment.text, told.comment.version, told.version) == ("thanks", 1, 1)


@pytest.mark.parametrize(
    ("user", "reads"),
    [
        (SOFIA, True),
        (User(name="paul", role=UserRole.SUPERVISOR), False),
        (User(name="anna", role=UserRole.AGENT, agent=ANNA), True),
        (User(name="emma", role=UserRole.AGENT, agent=AgentId("1002")), False),
        (User(name="sofia", role=UserRole.AGENT, agent=AgentId("1002")), False),
        (User(name="root", role=UserRole.ADMIN), True),
        (User(name="far", role=UserRole.ADMIN), False),
    ],
)
def test_who_reads_it(user: User, *, reads: bool) -> None:
    """Its author, the agent it is about, and who may read the audit; nobody else."""
    audited = {"root": frozenset({"north"}), "far": frozenset({"south"})}
    assert sheets.may_read(user, sheet(), audited.get(user.name, frozenset())) is reads


@given(st.lists(GRADES, max_size=6))
def test_changes_add_up(changes: list[dict[str, int | None]]) -> None:
    """However often it is mended, each grade is the last one given, and each change is a version."""
    told, last = sheet(), dict[str, int | None]()
    for number, change in enumerate(changes, 2):
        told = sheets.mended(told, change, None, BASE)
        last |= change
        assert told.version == number
    assert {one.id: one.grade for one in told.grades} == {"greeting": None, "closing": None} | last
