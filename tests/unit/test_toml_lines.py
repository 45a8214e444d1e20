import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.toml_lines import Lines, Path

DOCUMENT = '''# a comment with [brackets] and x = 1
site = "a"  # [not.a.table]

[http]
listen = """
[pbx]
id = 1
"""
"quoted key" = 'it''s'

[[pbx]]
id = "one"
numbers = [
  1,
  "]",  # a bracket in a string
  { x = 1, y = [2, 3] },
]

[pbx.ari]
url = 1979-05-27 07:32:00

[[pbx]]
a.b.c = true
[pbx.ari]
url = 2
'''
DOCUMENT = DOCUMENT.replace("'it''s'", "'its'")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("site",), 2),
        (("http",), 4),
        (("http", "listen"), 5),
        (("http", "quoted key"), 9),
        (("pbx", 0), 11),
        (("pbx", 0, "id"), 12),
        (("pbx", 0, "numbers"), 13),
        (("pbx", 0, "numbers", 1), 15),
        (("pbx", 0, "numbers", 2, "y", 1), 16),
        (("pbx", 0, "ari"), 19),
        (("pbx", 0, "ari", "url"), 20),
        (("pbx", 1), 22),
        (("pbx", 1, "a", "b", "c"), 23),
        (("pbx", 1, "ari", "url"), 25),
    ],
)
def test_line(path: Path, line: int) -> None:
    """Each key, table and element is found on its line, through comments, strings and arrays of tables."""
    assert Lines(DOCUMENT).of(path) == line


def test_nearest() -> None:
    """What does not stand in the text is told at the table around it, and at line 1 where there is none."""
    lines = Lines(DOCUMENT)
    assert lines.of(("pbx", 1, "ari", "missing")) == 24
    assert lines.of(("nowhere",)) == 1
    assert Lines("").of(("nowhere",)) == 1


def _paths(value: object, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\"'\\", exclude_categories=["Cc", "Cs"]))
_VALUES = st.recursive(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1).map(str),
        st.booleans().map(lambda value: str(value).lower()),
        _TEXT.map(lambda text: f'"{text}"'),
        _TEXT.map(lambda text: f"'{text}'"),
        _TEXT.map(lambda text: f'"""\n{text}\n[x]\n"""'),
        st.just('"a\\"]\\\\"'),
        st.just("1979-05-27T07:32:00Z"),
        st.just("-1.5e3"),
    ),
    lambda inner: st.one_of(
        st.lists(inner).map(lambda items: "[" + "".join(f"\n  {item}, # ]" for item in items) + "\n]"),
        st.lists(inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"k{number} = {item}" for number, item in enumerate(items)) + "}"
        ),
    ),
    max_leaves=6,
)


@given(st.lists(_VALUES, max_size=5))
def test_any_document(values: list[str]) -> None:
    """Whatever tomllib accepts is scanned to its end, and each table and key is found where it is."""
    text, starts = "", []
    for value in values:
        starts.append(text.count("\n") + 1)
        text += f"[[t]]\nkey = {value}\nx.y = 1\n"
    lines = Lines(text)
    for path in _paths(tomllib.loads(text)):
        assert path in lines._lines, path
    for index, start in enumerate(starts):
        assert lines.of(("t", index)) == start
        assert lines.of(("t", index, "key")) == start + 1
