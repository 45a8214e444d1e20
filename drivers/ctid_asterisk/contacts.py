"""Where phones have registered, and whether they answer there. Pure.

Source: Asterisk 16 to 23, res/res_pjsip/pjsip_options.c and res_pjsip/location.c (ContactStatus and the list
PJSIPShowContacts), channels/chan_iax2.c and chan_sip.c (PeerStatus).
"""

from collections.abc import Container

from ctid.model.ids import DeviceId
from ctid.model.words import DeviceState, Registration
from ctid_asterisk.fields import natural

REGISTRATIONS = {
    "Created": Registration.REGISTERED,
    "Updated": Registration.REGISTERED,
    "NonQualified": Registration.REGISTERED,
    "Unknown": Registration.REGISTERED,
    "Reachable": Registration.REGISTERED,
    "Unreachable": Registration.UNREACHABLE,
}
"""A contact's status; one that was not asked yet has registered. `Removed` is none any more."""

PEERS = {
    "Registered": Registration.REGISTERED,
    "Reachable": Registration.REGISTERED,
    "Lagged": Registration.REGISTERED,
    "Unregistered": Registration.UNREGISTERED,
    "Rejected": Registration.UNREGISTERED,
    "Unreachable": Registration.UNREACHABLE,
}
"""A peer's status, of the technologies that have one address a peer."""

_LAST_KNOWN = 64
"""How many addresses of one phone are kept: a trunk's proxy may register many."""


def registration_of(device: DeviceId, state: DeviceState, registration: Registration) -> Registration:
    """What a device's registration is: a phone out of reach of which no address is known has none."""
    is_gone = state is DeviceState.UNAVAILABLE and "." not in device
    return Registration.UNREGISTERED if is_gone and registration is Registration.UNKNOWN else registration


class Contacts:
    """The addresses under which each device can be reached."""

    def __init__(self) -> None:
        self._known: dict[DeviceId, dict[str, tuple[Registration, float | None]]] = {}

    def put(self, device: DeviceId, uri: str, status: str, round_trip_us: str) -> None:
        """Set what is known of one address; a status that is not in `REGISTRATIONS` removes it.

        `round_trip_us` is that of the last probe in microseconds, 0 or empty where there was none.
        """
        known = self._known.setdefault(device, {})
        registration = REGISTRATIONS.get(status)
        known.pop(uri, None)
        if registration is not None:
            took = (natural(round_trip_us) or 0) / 1000 or None
            known[uri] = (registration, took)
            if len(known) > _LAST_KNOWN:
                del known[next(iter(known))]

    def copy(self, device: DeviceId, other: "Contacts") -> None:
        """Know of a device what another knows."""
        self._known[device] = dict(other._known.get(device, {}))  # noqa: SLF001 - another of us

    def sweep(self, devices: Container[DeviceId]) -> None:
        """Forget the addresses of all devices but these."""
        self._known = {device: known for device, known in self._known.items() if device in devices}

    def of(self, device: DeviceId) -> tuple[Registration, float | None]:
        """Whether a device is registered, and the last round trip in ms: one address that answers will do."""
        known = self._known.get(device)
        if known is None:
            return Registration.UNKNOWN, None
        answers = [entry for entry in known.values() if entry[0] is Registration.REGISTERED]
        if answers:
            return answers[-1]
        return (Registration.UNREACHABLE if known else Registration.UNREGISTERED), None
