from ctid.model.facts import DeviceChanged, DeviceInfo
from ctid.model.words import DeviceState, Registration
from ctid_asterisk.wire import Message
from helpers.ami_words import Line, message


def hear(line: Line, event: Message) -> list[DeviceInfo]:
    """The devices that an event tells."""
    return [fact.device for fact in line.hear(event) if isinstance(fact, DeviceChanged)]


def contact(
    status: str, usec: str = "0", endpoint: str = "1008", uri: str = "sip:1008@127.0.0.1:5062"
) -> Message:
    """A ContactStatus."""
    fields = {"URI": uri, "ContactStatus": status, "AOR": endpoint, "EndpointName": endpoint}
    return message("ContactStatus", **fields, RoundtripUsec=usec)


def test_a_phone_registers_before_it_has_a_state() -> None:
    """Either event may come first; each keeps what the other told."""
    line = Line()
    (device,) = hear(line, contact("Reachable", "458"))
    assert (device.id, device.state, device.registration) == (
        "1008",
        DeviceState.UNKNOWN,
        Registration.REGISTERED,
    )
    assert device.round_trip_ms == 0.458
    (device,) = hear(line, message("DeviceStateChange", Device="PJSIP/1008", State="NOT_INUSE"))
    assert (device.state, device.registration) == (DeviceState.IDLE, Registration.REGISTERED)
    (device,) = hear(line, contact("Removed"))
    assert (device.state, device.registration) == (DeviceState.IDLE, Registration.UNREGISTERED)
    assert hear(line, contact("Removed")) == []


def test_a_phone_of_no_address_goes_out_of_reach() -> None:
    """It may call without being registered; idle and out of reach it is unregistered, as snapshots say."""
    line = Line()
    (device,) = hear(line, message("DeviceStateChange", Device="PJSIP/3001", State="INUSE"))
    assert device.registration is Registration.UNKNOWN
    (device,) = hear(line, message("DeviceStateChange", Device="PJSIP/3001", State="UNAVAILABLE"))
    assert (device.state, device.registration) == (DeviceState.UNAVAILABLE, Registration.UNREGISTERED)
    (device,) = hear(line, message("DeviceStateChange", Device="PJSIP/3001", State="NOT_INUSE"))
    assert device.registration is Registration.UNKNOWN, "that was deduced, and is so no longer"
    (device,) = hear(line, message("DeviceStateChange", Device="IAX2/office", State="UNAVAILABLE"))
    assert device.registration is Registration.UNKNOWN


def test_a_contact_that_no_endpoint_owns_is_no_phone() -> None:
    """An address of record may stand alone."""
    assert hear(Line(), contact("Reachable", endpoint="")) == []


def test_peers_of_other_technologies() -> None:
    """They have one address each, and tell of it by PeerStatus; PJSIP's says less than its contacts."""
    line = Line()
    fields = {"ChannelType": "IAX2", "Peer": "IAX2/office", "Time": "12"}
    (device,) = hear(line, message("PeerStatus", PeerStatus="Lagged", **fields))
    assert (device.id, device.registration, device.round_trip_ms) == (
        "iax2.office",
        Registration.REGISTERED,
        12.0,
    )
    (device,) = hear(
        line, message("PeerStatus", PeerStatus="Unreachable", ChannelType="SIP", Peer="SIP/1001")
    )
    assert (device.id, device.registration, device.round_trip_ms) == ("1001", Registration.UNREACHABLE, None)
    assert hear(line, message("PeerStatus", PeerStatus="Other", **fields)) == []
    pjsip = {"ChannelType": "PJSIP", "Peer": "PJSIP/1001", "PeerStatus": "Reachable"}
    assert hear(line, message("PeerStatus", **pjsip)) == []
    assert hear(line, message("PeerStatus", ChannelType="X", Peer="nobody", PeerStatus="Reachable")) == []
