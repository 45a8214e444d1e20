from pathlib import Path

import pytest

from ctid.config import ConfigError, load

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MAKE = "make one: `echo whsec_$(openssl rand -base64 32)`"
URL = 'such as "https://crm.example/hooks/ctid"'
ANOTHER = "give it another, or take one away"
TRUSTED = "use https, or set allow_plain = true where the network between is trusted"
PATTERNS = 'a type without "ctid.", such as "call.answered", "call.*" or "*"'


def told(folder: Path, *lines: str) -> list[str]:
    """What is told of a webhook with these lines, and good ones for the rest."""
    known = {"url": "'https://crm.example/hook'", "events": "['*']", "secret": f"'{SECRET}'"}
    given = dict(line.split(" = ", 1) for line in lines)
    text = '[[pbx]]\nid = "main"\ndriver = "asterisk"\n[[agent]]\nid = "1"\nteam = "red"\n'
    text += '[[webhook]]\nname = "a"\n'
    text += "".join(f"{key} = {value}\n" for key, value in (known | given).items())
    file = folder / "ctid.toml"
    file.write_text(text)
    try:
        config = load(file)
    except ConfigError as error:
        return [line.split(" webhook[0].", 1)[1] for line in error.lines()]
    assert "whsec" not in repr(config)
    return []


@pytest.mark.parametrize(
    "line",
    [
        "url = 'http://127.0.0.1:9000/x?y=z'",
        "url = 'http://[::1]:9000'",
        "url = 'http://localhost'",
        "old_secret = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'",
        "events = ['call.*', 'agent.state_changed', 'supervision.started']",
        "teams = ['red']",
        "pop_url = 'https://crm.example/{agent}/{queue}'",
        "pop_url = 'crm:open?{call}'",
        "timeout_s = 60",
    ],
)
def test_good(tmp_path: Path, line: str) -> None:
    """What may be said."""
    assert told(tmp_path, line) == []


def test_good_together(tmp_path: Path) -> None:
    """What may be said when something else is."""
    assert told(tmp_path, "url = 'http://10.0.0.9/'", "allow_plain = true") == []
    assert told(tmp_path, "pop_url = 'https://crm.example/{number}'", "numbers = 'full'") == []


@pytest.mark.parametrize(
    ("line", "mistakes"),
    [
        (
            "url = 'http://crm.example/hook'",
            [f"url: sends to crm.example without TLS; {TRUSTED}"],
        ),
        ("url = 'ftp://crm.example'", [f"url: is no URL of http or https; {URL}"]),
        ("url = 'https://'", [f"url: is no URL of http or https; {URL}"]),
        ("url = 'http://[::1/'", [f"url: is no URL of http or https; {URL}"]),
        ("url = 'https://crm.example:0/'", [f"url: is no URL of http or https; {URL}"]),
        ("url = 'https://crm.example/#x'", [f"url: is no URL of http or https; {URL}"]),
        (
            "url = 'https://me:pw@crm.example/'",
            ["url: has a user name in it; leave it out: the receiver knows ctid by the signature"],
        ),
        ("events = []", ['events: names no event; such as ["call.offered", "call.answered"]']),
        (
            "events = ['call.*', 'Call', 'ctid']",
            [
                f"events[1]: 'Call' names no events; {PATTERNS}",
                f"events[2]: 'ctid' names no events; {PATTERNS}",
            ],
        ),
        (
            "secret = ''",
            [f"secret: is missing: the receiver could not tell ctid from another; {MAKE}"],
        ),
        ("secret = 'whsec_x'", [f"secret: is no base64; {MAKE}"]),
        ("old_secret = 'AAAA'", [f"old_secret: holds 3 bytes, and must hold 24 to 64; {MAKE}"]),
        (
            "teams = ['red', 'rde']",
            ["teams[1]: there is no [[team]] 'rde', and no [[agent]] of it; did you mean 'red'?"],
        ),
        ("timeout_s = 0.1", ["timeout_s: 0.1 is out of range; seconds, 1 to 60"]),
        (
            "pop_url = 'crm?n={agent}'",
            ['pop_url: is no URL; such as "https://crm.example/search?n={number}"'],
        ),
        (
            "pop_url = 'https://crm.example/{nummer}{number}'",
            [
                "pop_url: has no word for {nummer}; did you mean 'number'?",
                """pop_url: {number} would be masked; set numbers = "full" for this webhook""",
            ],
        ),
    ],
)
def test_mistake(tmp_path: Path, line: str, mistakes: list[str]) -> None:
    """Each with its cure."""
    assert told(tmp_path, line) == mistakes


def test_names(tmp_path: Path) -> None:
    """A name is an id, and stands once."""
    file = tmp_path / "ctid.toml"
    table = f"[[webhook]]\nname = 'a/b'\nurl = 'https://x'\nevents = ['*']\nsecret = '{SECRET}'\n"
    file.write_text('[[pbx]]\nid = "main"\ndriver = "asterisk"\n' + table + table)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert [line.split(": ", 1)[1] for line in caught.value.lines()] == [
        "webhook[0].name: 'a/b' is no id; use letters, digits and _ . @ : = ~ - only",
        f"webhook[1].name: is a second webhook with the name 'a/b' (the first is webhook[0]); {ANOTHER}",
        "webhook[1].name: 'a/b' is no id; use letters, digits and _ . @ : = ~ - only",
    ]
