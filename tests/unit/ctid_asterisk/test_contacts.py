from ctid.model.ids import DeviceId
from ctid.model.words import Registration
from ctid_asterisk.contacts import Contacts

PHONE = DeviceId("1001")


def test_of_a_phone_that_was_never_heard_of_nothing_is_known() -> None:
    """It may register nowhere, as a trunk does."""
    assert Contacts().of(PHONE) == (Registration.UNKNOWN, None)


def test_one_address_that_answers_is_enough() -> None:
    """Whatever becomes of the others; without any it is not registered."""
    contacts = Contacts()
    contacts.put(PHONE, "sip:a", "Reachable", "1500")
    contacts.put(PHONE, "sip:b", "Unreachable", "0")
    assert contacts.of(PHONE) == (Registration.REGISTERED, 1.5)
    contacts.put(PHONE, "sip:a", "Removed", "")
    assert contacts.of(PHONE) == (Registration.UNREACHABLE, None)
    contacts.put(PHONE, "sip:b", "Removed", "")
    assert contacts.of(PHONE) == (Registration.UNREGISTERED, None)
    contacts.put(PHONE, "sip:c", "NonQualified", "0")
    assert contacts.of(PHONE) == (Registration.REGISTERED, None)


def test_the_oldest_of_very_many_addresses_is_forgotten() -> None:
    """What registers again and again under others does not fill the memory."""
    contacts = Contacts()
    contacts.put(PHONE, "sip:first", "Reachable", "1000")
    for number in range(64):
        contacts.put(PHONE, f"sip:{number}", "Unreachable", "")
    assert contacts.of(PHONE) == (Registration.UNREACHABLE, None)


def test_what_another_knows_is_taken_over() -> None:
    """Of one device, and as it is then."""
    one, other = Contacts(), Contacts()
    other.put(PHONE, "sip:a", "Reachable", "1500")
    one.copy(PHONE, other)
    other.put(PHONE, "sip:a", "Removed", "")
    assert one.of(PHONE) == (Registration.REGISTERED, 1.5)
