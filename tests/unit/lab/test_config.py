import re
from pathlib import Path

import pytest

from lab import roster
from lab.config import SHIPPED, RigOptions, RigPaths, fill, render, write
from lab.daemon import env_text
from lab.errors import LabError
from lab.ports import Ports
from lab.rig import Rig
from lab.root import Root

ROOT = Root(Path("/nowhere"), "x86_64-linux-gnu")
PORTS = Ports(sip=15060, ami=15038, ari=18088, mqtt=11883, http=18080, rtp=12000)


def rendered(*, direct_media: bool = False, persist: bool = False, scenarios: bool = False) -> dict[str, str]:
    """Every file of a rig below /rig, by its name."""
    options = RigOptions(direct_media=direct_media, persist=persist, scenarios=scenarios)
    return {path.name: text for path, text in render(ROOT, RigPaths(Path("/rig")), PORTS, options).items()}


def section(text: str, name: str) -> str:
    """The lines of one section of a configuration file."""
    match = re.search(rf"^\[{name}\][^\n]*\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert match is not None, name
    return match[1]


def test_fill_replaces_all_and_refuses_unknown_names() -> None:
    """Each @{name} is replaced, a dialplan's ${NAME} stays, and a name without a value is an error."""
    assert fill("@{a} ${a} @{a}@b", {"a": "1"}) == "1 ${a} 1@b"
    with pytest.raises(KeyError, match="b"):
        fill("@{b}", {"a": "1"})


def test_no_placeholder_is_left_in_any_file() -> None:
    """Every file is written whole."""
    for name, text in rendered().items():
        assert "@{" not in text, name


def test_every_phone_can_register() -> None:
    """Each number of the roster has endpoint, password and address of record, customers in their context."""
    text = rendered()["pjsip.conf"]
    for number in roster.PHONES:
        assert text.count(f"[{number}](phone") == 3
        assert f"username = {number}\npassword = pw{number}\n" in text
    assert text.count("context = from-customers") == len(roster.CUSTOMERS)
    assert "bind = 127.0.0.1:15060" in text


def test_direct_media_is_an_option() -> None:
    """Media pass the PBX unless the rig's option says otherwise."""
    assert "direct_media = no" in rendered()["pjsip.conf"]
    assert "direct_media = yes" in rendered(direct_media=True)["pjsip.conf"]


def test_members_are_static_and_desk_is_in_the_local_form() -> None:
    """The queues have the members, strategies and wrap-up of the table; desk's are Local with a hint."""
    text = rendered()["queues.conf"]
    support = section(text, "support")
    assert re.findall(r"member => PJSIP/(\d+)", support) == ["1001", "1002", "1003", "1004"]
    assert "wrapuptime = 5" in support
    assert "strategy = rrmemory" in support
    assert re.findall(r"member => PJSIP/(\d+)", section(text, "sales")) == ["1003", "1004", "1005", "1006"]
    desk = section(text, "desk")
    assert "member => Local/1007@from-queue/n,0,Grace Laurent,hint:1007@ext-local" in desk
    assert "strategy = linear" in desk


def test_scenarios_add_queues_and_a_qualified_phone_and_change_nothing_else() -> None:
    """The default rig has three queues and no qualified phone; the scenarios' rig has that and more."""
    plain, more = rendered(), rendered(scenarios=True)
    assert more["queues.conf"].startswith(plain["queues.conf"].rstrip())
    names = re.findall(r"^\[(\w+)\]\(lab\)", plain["queues.conf"], re.MULTILINE)
    assert names == ["support", "sales", "desk"]
    assert "\nqualify_frequency = 2" not in plain["pjsip.conf"]
    assert more["pjsip.conf"].count("\nqualify_frequency = 2") == 1
    assert "qualify_frequency = 2" in more["pjsip.conf"].partition("[1008](phone-aor)")[2][:60]
    for name in plain.keys() - {"queues.conf", "pjsip.conf"}:
        assert plain[name] == more[name]


def test_scenarios_queues_have_members_of_each_form() -> None:
    """Local with and without /n, with a hint, a phone, an agent of the pool, and nothing as its state."""
    text = rendered(scenarios=True)["queues.conf"]
    for queue, member in {
        "local": "Local/1006@from-queue,0,Farid Benali,hint:1006@ext-local",
        "branch": "Local/1005@from-queue/n,0,Emma O'Neil,PJSIP/1005",
        "pool": "Local/1006@agent-pool,0,Farid Benali,Agent:1006",
        "short": "PJSIP/1002,0,Bruno Petit,PJSIP/1002",
    }.items():
        assert f"member => {member}\n" in section(text, queue)
    assert section(text, "branch").rstrip().endswith("Local/1008@from-queue/n,0,Hugo Lefèvre")
    assert "joinempty = strict\nleavewhenempty = strict" in section(text, "strict")
    assert "context = queue-keys" in section(text, "keys")


def test_every_extra_queue_is_entered_by_its_number() -> None:
    """The dialplan has a number for each queue of the roster, of the scenarios as well."""
    text = rendered()["extensions.conf"]
    for queue in (*roster.QUEUES, *roster.EXTRA_QUEUES):
        assert re.search(rf"exten => {queue.number},1,Answer\(\)\n same => n,Queue\({queue.name}[,)]", text)


def test_daemon_s_user_has_only_what_it_needs() -> None:
    """The shipped AMI user can neither originate nor run commands; it may be slow for 5 s."""
    user = section((SHIPPED / "manager.ctid.conf").read_text(), "ctid")
    assert "read = system,call,agent,dialplan,reporting,user\n" in user
    assert "write = system,call,agent,message,reporting\n" in user
    assert "writetimeout = 5000\n" in user


def test_nothing_listens_beyond_loopback() -> None:
    """SIP, AMI, HTTP and MQTT are bound to 127.0.0.1."""
    files = rendered()
    assert "bindaddr = 127.0.0.1" in files["manager.conf"]
    assert "bindaddr = 127.0.0.1" in files["http.conf"]
    assert "listener 11883 127.0.0.1" in files["mosquitto.conf"]
    assert "bind = 127.0.0.1:" in files["pjsip.conf"]


def test_shipped_configuration_is_included_by_its_absolute_path() -> None:
    """The product's own contexts and users come from the checkout's config folder, to be proved."""
    files = rendered()
    assert SHIPPED.is_absolute()
    for name in ("manager", "ari", "extensions", "features"):
        assert (SHIPPED / f"{name}.ctid.conf").is_file()
        assert f"#include {SHIPPED}/{name}.ctid.conf" in files[f"{name}.conf"]


def test_modules_that_an_older_asterisk_lacks_are_left_out(tmp_path: Path) -> None:
    """modules.conf asks only for modules that are there."""
    folder = tmp_path / "usr/lib/x86_64-linux-gnu/asterisk/modules"
    folder.mkdir(parents=True)
    (folder / "app_queue.so").touch()
    root = Root(tmp_path, "x86_64-linux-gnu")
    files = render(root, RigPaths(tmp_path / "rig"), PORTS, RigOptions())
    loaded = [
        line for line in files[tmp_path / "rig/etc/modules.conf"].splitlines() if line.startswith("load")
    ]
    assert loaded == ["load = app_queue.so"]


def test_too_long_a_folder_names_the_cure(tmp_path: Path) -> None:
    """A folder in which the console's socket would not fit is refused before anything starts."""
    with pytest.raises(LabError, match="CTID_LAB_DIR"):
        write(ROOT, RigPaths(tmp_path / ("x" * 100)), PORTS, RigOptions())


def test_env_has_addresses_and_tokens() -> None:
    """.lab/env exports where daemon and broker are, each role's token, and hers as the usual one."""
    text = env_text(Rig(Path("/rig"), PORTS), {"admin": "secret", "supervisor": "hers"})
    assert text == (
        "export CTID_URL=http://127.0.0.1:18080\n"
        "export CTID_MQTT=mqtt://127.0.0.1:11883\n"
        "export CTID_TOKEN_ADMIN=secret\n"
        "export CTID_TOKEN_SUPERVISOR=hers\n"
        "export CTID_TOKEN=hers\n"
        'case ":$PATH:" in *:/rig/bin:*) ;; *) export PATH=/rig/bin:"$PATH" ;; esac\n'
    )
