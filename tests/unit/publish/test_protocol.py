from ctid.publish.protocol import ProtocolChoice


def test_refusal_leads_to_the_older_version() -> None:
    """A broker that refuses MQTT 5 is tried with 3.1.1 at once, and that is kept."""
    choice = ProtocolChoice("auto")
    seen = [choice.version]
    assert choice.refused()
    seen.append(choice.version)
    choice.connected()
    assert not choice.refused()
    seen.append(choice.version)
    assert seen == ["5", "3.1.1", "3.1.1"]


def test_hanging_up_twice_in_a_row_changes_the_version() -> None:
    """A broker that hangs up without an answer is tried otherwise from the second time on, and back again."""
    choice = ProtocolChoice("auto")
    seen = []
    for closed in (True, False, True, True, True, True):
        choice.failed(closed_unanswered=closed)
        seen.append(choice.version)
    assert seen == ["5", "5", "5", "3.1.1", "3.1.1", "5"]


def test_configured_version_is_never_left() -> None:
    """With a version in the configuration no other one is tried."""
    for choice in (ProtocolChoice("5"), ProtocolChoice("3.1.1")):
        configured = choice.version
        assert not choice.refused()
        for _ in range(5):
            choice.failed(closed_unanswered=True)
        assert choice.version == configured
