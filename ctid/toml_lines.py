"""Where each key of a TOML document stands. `tomllib` gives values without places; this gives places.

Pure. The text has been accepted by `tomllib` before, so that the scan needs no errors of its own
(grammar: toml.io, TOML v1.0.0).
"""

import re

Path = tuple[str | int, ...]
"""The way to a value: keys, and indexes from 0 into arrays, such as `("pbx", 0, "ari", "url")`."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^\s,\]}#]+(?: \d{2}:\d{2}[^\s,\]}#]*)?")
_STRINGS = {
    '"""': re.compile(r'"""(?:\\.|[^\\])*?"""(?:"(?!"""))*', re.DOTALL),
    "'''": re.compile(r"'''.*?'''(?:'(?!'''))*", re.DOTALL),
    '"': re.compile(r'"(?:\\.|[^"\\])*"'),
    "'": re.compile(r"'[^']*'"),
}


class Lines:
    """Line numbers, from 1, of the keys, tables and array elements of `text`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        self._at = 0
        self._scan()

    def of(self, path: Path) -> int:
        """The line of `path`, or of the nearest table around it that stands in the text; at least 1."""
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return line
        return 1

    def _scan(self) -> None:
        table: Path = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()

    def _header(self) -> Path:
        start = self._at
        array = self._text.startswith("[[", start)
        self._at += 2 if array else 1
        path = self._inside_arrays(self._keys(), keep_last=array)
        self._at += 2 if array else 1
        if array:
            index = self._arrays.get(path, -1) + 1
            self._arrays[path] = index
            self._note(path, start)
            path = (*path, index)
        self._note(path, start)
        return path

    def _inside_arrays(self, keys: Path, *, keep_last: bool) -> Path:
        """A header that goes through an array of tables means the array's last element."""
        path: Path = ()
        for number, key in enumerate(keys):
            path = (*path, key)
            last = number == len(keys) - 1
            if path in self._arrays and not (last and keep_last):
                path = (*path, self._arrays[path])
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._keys())
        for length in range(len(table) + 1, len(path) + 1):
            self._note(path[:length], start)
        self._at += 1  # the equals sign
        self._value(path)

    def _keys(self) -> Path:
        """Read a dotted key; ends at what follows it."""
        keys: list[str | int] = []
        while True:
            self._skip_spaces()
            quote = self._text[self._at]
            if quote in "\"'":
                start = self._at
                self._string()
                keys.append(self._text[start + 1 : self._at - 1])
            else:
                match = _BARE.match(self._text, self._at)
                assert match is not None, "tomllib took the text, so a key is here"  # noqa: S101 - see the module
                keys.append(match.group())
                self._at = match.end()
            self._skip_spaces()
            if self._text[self._at] != ".":
                return tuple(keys)
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip_spaces()
        match self._text[self._at]:
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                match = _SCALAR.match(self._text, self._at)
                assert match is not None, "tomllib took the text, so a value is here"  # noqa: S101 - see the module
                self._at = match.end()

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip_blank()
            if self._text[self._at] == "]":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip_blank()
            if self._text[self._at] == "}":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)

    def _string(self) -> None:
        for quote, pattern in _STRINGS.items():
            match = pattern.match(self._text, self._at)
            if self._text.startswith(quote, self._at) and match is not None:
                self._at = match.end()
                return

    def _note(self, path: Path, position: int) -> None:
        self._lines.setdefault(path, self._text.count("\n", 0, position) + 1)

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _skip_spaces(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
