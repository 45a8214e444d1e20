import hashlib
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from ctid.config import (
    AfterCallWorkConfig,
    AgentConfig,
    AgentRules,
    CallsConfig,
    Config,
    ConfigError,
    HttpConfig,
    LogConfig,
    MqttConfig,
    PbxConfig,
    RecordingConfig,
    Secret,
    SupervisionConfig,
    TeamConfig,
    TokenConfig,
    load,
)
from ctid.model.instant import from_rfc3339
from ctid.model.users import UserRole
from ctid.ports import SettingsError

HASH = hashlib.sha256(b"x").hexdigest()
MINIMAL = '[[pbx]]\nid = "main"\ndriver = "asterisk"\n'
MAY_BE_EMPTY = {
    "agents.pause_reasons",
    "calls.allowed_prefixes",
    "http.cors_origins",
    "http.trusted_proxies",
    "period.dates",
    "supervision.outside_prefixes",
    "token.scopes",
}
"""Lists that are shipped as they are by default: empty."""
SHIPPED = Path(__file__).parents[2] / "config" / "ctid.toml"


def read(folder: Path, text: str) -> Config:
    """Load a text as a configuration file in `folder`."""
    file = folder / "ctid.toml"
    file.write_text(text, "utf-8")
    return load(file)


def mistakes(folder: Path, text: str) -> list[str]:
    """What is told of a text, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return [line.replace(str(caught.value.file), "F") for line in str(caught.value).splitlines()]


def test_defaults(tmp_path: Path) -> None:
    """One PBX is enough; all the rest has a default."""
    config = read(tmp_path, MINIMAL)
    assert config == Config(pbx=(PbxConfig(id="main", driver="asterisk"),))
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8080)
    assert config.mqtt is None


def test_everything(tmp_path: Path) -> None:
    """Each table lands in its Struct, and what only the driver knows stays as it is."""
    config = read(
        tmp_path,
        f"""
site = "lyon"
state_directory = "/tmp/x"
[http]
listen = "[::1]:9"
[mqtt]
url = "mqtts://broker:8883"
password = "pw"
[supervision]
ring_s = 5
phone_keys_roles = ["admin"]
[[token]]
name = "anna"
role = "supervisor"
sha256 = "{HASH}"
phones = ["desk"]
expires = 2027-01-31
[[phone]]
name = "desk"
pbx = "main"
address = "PJSIP/2001"
[[agent]]
id = "1001"
team = "blue"
address = "PJSIP/1001"
queues = ["support"]
[[team]]
id = "blue"
after_call_work_s = 20
[agents]
pause_reasons = ["lunch"]
[after_call_work]
default_s = 5
enforce = true
[[queue]]
id = "support"
wrapup_s = 5
{MINIMAL}
port = 5039
[pbx.ari]
url = "http://x"
""",
    )
    assert (config.http.host, config.http.port) == ("::1", 9)
    assert config.mqtt is not None
    assert config.mqtt.password == "pw"
    assert config.tokens == (
        TokenConfig(
            name="anna",
            role=UserRole.SUPERVISOR,
            sha256=HASH,
            phones=("desk",),
            expires=from_rfc3339("2027-01-31T00:00:00Z"),
        ),
    )
    assert config.supervision == SupervisionConfig(ring_s=5, phone_keys_roles=(UserRole.ADMIN,))
    assert config.pbx[0].settings == {"port": 5039, "ari": {"url": "http://x"}}
    assert config.agents == (AgentConfig(id="1001", team="blue", address="PJSIP/1001", queues=("support",)),)
    assert config.teams == (TeamConfig(id="blue", after_call_work_s=20),)
    assert config.agent_rules == AgentRules(pause_reasons=("lunch",))
    assert config.after_call_work == AfterCallWorkConfig(default_s=5, enforce=True)
    assert config.queues[0].wrapup_s == 5


def cases() -> list[tuple[str, str]]:
    """The cases of config_mistakes.txt: a text, then `=>` and what is told of it; a blank line ends each."""
    blocks = (Path(__file__).parent / "config_mistakes.txt").read_text("utf-8").strip().split("\n\n")
    found = []
    for block in blocks:
        text, _, told = block.rpartition("=> ")
        found.append((text.replace("{PBX}\n", MINIMAL).replace("{HASH}", HASH), told))
    return found


@pytest.mark.parametrize(("text", "told"), cases())
def test_mistake(tmp_path: Path, text: str, told: str) -> None:
    """A mistake is told with its line, its path, what is wrong and the cure, and nothing else is told."""
    assert mistakes(tmp_path, text) == [told]


def test_all_at_once(tmp_path: Path) -> None:
    """Every mistake of a file is told, in the order of its lines."""
    text = "sit = 1\n[http]\nlisten = 1\n[[pbx]]\nid = 'a'\nsecret_file = 'gone'\n"
    text += "[[pbx]]\nid = 'a'\ndriver = 1\n"
    told = mistakes(tmp_path, text)
    assert [line.split(" ")[1].rstrip(":") for line in told] == [
        "sit",
        "http.listen",
        "pbx[0]",
        "pbx[0].secret_file",
        "pbx[1].driver",
    ]


def test_unreadable(tmp_path: Path) -> None:
    """A file that is not there, is not UTF-8 or is not TOML is told as such, with its line."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b"site = '\xe9'")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(tmp_path / "latin.toml")
    assert mistakes(tmp_path, "site = 'a'\nsite = \n")[0].startswith("F:2: is not TOML: Invalid value")
    assert mistakes(tmp_path, "\nsite = [1,")[0].startswith("F:2: is not TOML")


def test_secret_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret's file is sought among the credentials, then beside the configuration."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (tmp_path / "ami").write_text("beside\n")
    (tmp_path / "ari").write_text("beside too\r\n")
    (credentials / "ami").write_text("credential\n")
    text = MINIMAL + "secret_file = 'ami'\n[pbx.ari]\npassword_file = 'ari'\n"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert read(tmp_path, text).pbx[0].settings == {"secret": "beside", "ari": {"password": "beside too"}}
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert read(tmp_path, text).pbx[0].settings == {"secret": "credential", "ari": {"password": "beside too"}}


def test_secret_file_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret's file that is not there, or holds nothing, is told with where it was looked for."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/nowhere")
    told = mistakes(tmp_path, MINIMAL + "secret_file = 'gone'\n")
    tried = f"/nowhere/gone, {tmp_path}/gone"
    cure = "make the file, or check LoadCredential= of the unit"
    assert told == [f"F:4: pbx[0].secret_file: no file 'gone' (tried {tried}); {cure}"]
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in mistakes(tmp_path, MINIMAL + "secret_file = 'empty'\n")[0]


def test_certificate_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the certificate are looked up as secrets are; with them any address will do."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    text = MINIMAL + "[http]\nlisten = '0.0.0.0:443'\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n"
    cure = "make the file, or check LoadCredential= of the unit"
    assert mistakes(tmp_path, text) == [
        f"F:6: http.tls_cert: no file 'cert.pem' (tried {credentials}/cert.pem, {tmp_path}/cert.pem); {cure}",
        f"F:7: http.tls_key: no file 'key.pem' (tried {credentials}/key.pem, {tmp_path}/key.pem); {cure}",
    ]
    (tmp_path / "cert.pem").touch()
    (credentials / "key.pem").touch()
    http = read(tmp_path, text).http
    assert (http.tls_cert, http.tls_key) == (str(tmp_path / "cert.pem"), str(credentials / "key.pem"))


def test_beyond_the_loopback_behind_a_proxy(tmp_path: Path) -> None:
    """Without TLS of its own, an address that others reach takes a proxy that is named."""
    text = MINIMAL + "[http]\nlisten = '0.0.0.0:8080'\ntrusted_proxies = ['192.0.2.7', '10.0.0.0/8']\n"
    assert read(tmp_path, text).http.trusted_proxies == ("192.0.2.7", "10.0.0.0/8")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """No repr of a configuration shows a secret, however it came in."""
    (tmp_path / "ami").write_text("s3cret")
    text = MINIMAL + "secret_file = 'ami'\nextra = { password = 's3cret' }\n[mqtt]\npassword = 's3cret'\n"
    config = read(tmp_path, text)
    assert "s3cret" not in repr(config)
    assert f"{config.pbx[0].settings['secret']}" == "s3cret"
    assert isinstance(config.pbx[0].settings["secret"], Secret)


def test_driver_mistake(tmp_path: Path) -> None:
    """What a driver says of its settings is told at the line of the key it names."""

    def check(pbx: PbxConfig) -> None:
        raise SettingsError("ari.url", f"is wrong for {pbx.id}")

    file = tmp_path / "ctid.toml"
    file.write_text(MINIMAL + "[pbx.ari]\nx = 1\nurl = 'u'\n")
    with pytest.raises(ConfigError) as caught:
        load(file, check)
    assert str(caught.value) == f"{file}:6: pbx[0].ari.url: is wrong for main"


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The Struct in a field's type: itself, of an optional, or of a tuple."""
    parts = get_args(kind) or (kind,)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)), None)


def _keys(kind: type[msgspec.Struct], value: Any, path: str, found: set[str]) -> None:
    """Collect every key that the Structs know; each must be in the document."""
    for item in value if isinstance(value, list) else [value]:
        for field in msgspec.structs.fields(kind):
            if field.name == "settings":
                continue
            here = f"{path}.{field.encode_name}".lstrip(".")
            empty: tuple[object, ...] = (None,) if here in MAY_BE_EMPTY else (None, [])
            assert item.get(field.encode_name) not in empty, f"{here} is not in config/ctid.toml"
            found.add(here)
            inner = _struct_in(field.type)
            if inner is not None:
                _keys(inner, item[field.encode_name], here, found)


def test_shipped_file_has_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """config/ctid.toml loads, tells every key of the Structs, and its defaults are theirs."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    text = SHIPPED.read_text("utf-8")
    for name in ("ami-secret", "ari-password"):
        (tmp_path / name).write_text("x")
    config = read(tmp_path, text)
    found: set[str] = set()
    _keys(Config, tomllib.loads(text), "", found)
    assert {"http.allow_remote", "token.lab", "supervision.phone_keys_roles", "mqtt.protocol"} <= found
    assert (config.site, config.http, config.log) == ("main", HttpConfig(), LogConfig())
    assert config.supervision == SupervisionConfig()
    assert config.mqtt == MqttConfig()
    assert (config.calls, config.recording) == (CallsConfig(), RecordingConfig())
    assert (config.agent_rules, config.after_call_work) == (AgentRules(), AfterCallWorkConfig())
    assert config.state_directory == Config(pbx=()).state_directory


def test_shipped_file_explains() -> None:
    """In config/ctid.toml a comment stands before each key of ctid's own, or before the group it opens."""
    lines = SHIPPED.read_text("utf-8").splitlines()
    bare = [
        f"{number}: {line}"
        for number, line in enumerate(lines, 1)
        if " = " in line and not line.startswith("#") and not lines[number - 2].startswith("#")
    ]
    driver_keys = ("port", "username", "tls_ca", "url", "password_file")
    assert [line for line in bare if not line.split(": ")[1].startswith(driver_keys)] == []
