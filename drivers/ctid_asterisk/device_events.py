"""Events of phones: what they do, and whether they can be reached. Pure."""

from msgspec.structs import replace

from ctid.model.facts import DeviceInfo
from ctid.model.ids import DeviceId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, Registration
from ctid_asterisk.contacts import PEERS, registration_of
from ctid_asterisk.fields import DEVICE_STATES, device_of_endpoint, device_of_interface, is_party, natural
from ctid_asterisk.told import Fields, Handler, Told


def device_info(fields: Fields) -> DeviceInfo | None:
    """Read a device's state of an event or a list's item; none when it is no phone's."""
    state = DEVICE_STATES.get(fields.get("state", ""))
    name = fields.get("device", "")
    device = device_of_interface(name) if is_party(name) else None
    return DeviceInfo(id=device, state=state) if device is not None and state is not None else None


class DeviceEvents:
    """The handlers of device events. Outbound registrations (`Registry`) name no device, and are not read."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.handlers: dict[str, Handler] = {
            "DeviceStateChange": self._state,
            "ContactStatus": self._contact,
            "PeerStatus": self._peer,
        }

    def _known(self, device: DeviceId) -> DeviceInfo:
        return self._told.devices.get(device) or DeviceInfo(id=device, state=DeviceState.UNKNOWN)

    def _state(self, fields: Fields, at: Instant) -> None:
        info = device_info(fields)
        if info is not None:
            known = self._known(info.id)
            told, _ = self._told.contacts.of(info.id)
            deduced = (
                known.state is DeviceState.UNAVAILABLE and known.registration is Registration.UNREGISTERED
            )
            if told is Registration.UNKNOWN and not deduced:
                told = known.registration
            registration = registration_of(info.id, info.state, told)
            self._told.tell_device(replace(known, state=info.state, registration=registration), at)

    def _contact(self, fields: Fields, at: Instant) -> None:
        if not fields["endpointname"]:
            return  # a contact that no endpoint owns
        device = device_of_endpoint(fields["endpointname"])
        told = self._told
        told.contacts.put(device, fields["uri"], fields["contactstatus"], fields.get("roundtripusec", ""))
        registration, took = told.contacts.of(device)
        told.tell_device(replace(self._known(device), registration=registration, round_trip_ms=took), at)

    def _peer(self, fields: Fields, at: Instant) -> None:
        """PJSIP's is of the endpoint as a whole, and says less than its ContactStatus."""
        device = device_of_interface(fields["peer"])
        registration = PEERS.get(fields["peerstatus"])
        if fields.get("channeltype") == "PJSIP" or registration is None or device is None:
            return
        took = natural(fields.get("time", ""))
        self._told.tell_device(
            replace(self._known(device), registration=registration, round_trip_ms=took), at
        )
