"""Whom an update is for: a letter of each of its events for each webhook that wants it. Pure."""

from collections.abc import Sequence

from msgspec import Struct, structs
from msgspec.structs import replace

from ctid.events.catalogue import CallAnswered, CallOffered
from ctid.events.documents import Documents
from ctid.events.telling import Event, cloud_event, event_id, events_of, trial_event
from ctid.model.instant import Instant
from ctid.state.changes import Update
from ctid.state.store import Store
from ctid.webhooks.letters import NewLetter, Sent
from ctid.webhooks.matching import Memory, Selection
from ctid.webhooks.popping import filled


class Recipient(Struct, frozen=True, kw_only=True):
    """One webhook: what it wants, whether it is told callers' numbers in full, and its address of a CRM."""

    name: str
    selection: Selection
    numbers_in_full: bool
    pop_url: str = ""


class Sorter:
    """Sorts the updates of one run of ctid at a site."""

    def __init__(self, site: str, boot_id: str, recipients: Sequence[Recipient]) -> None:
        self._recipients = tuple(recipients)
        self._memory = Memory()
        self._documents = {full: Documents(site, boot_id, numbers_in_full=full) for full in (False, True)}

    def letters(self, update: Update, store: Store, kept_at: float) -> list[NewLetter]:
        """The letters of an update, in the order of its events; `store` tells who is in which team.

        Every update is to come here, in its order: a call concerns the teams of all who have been in it.
        """
        told: dict[bool, list[Event]] = {}
        letters, concerns = [], self._memory.concerns_of(update, store)
        for recipient in self._recipients:
            documents = self._documents[recipient.numbers_in_full]
            if recipient.numbers_in_full not in told:
                told[recipient.numbers_in_full] = events_of(update, documents)
            for event in told[recipient.numbers_in_full]:
                if not recipient.selection.wants_type(event.name):
                    continue
                if recipient.selection.wants(concerns):
                    letters.append(_letter(recipient, event, documents, kept_at))
        return letters

    def trial(self, name: str, seq: int, at: Instant, number: int) -> Sent:
        """An event that says nothing, for one webhook; `number` tells those of one run apart."""
        documents = self._documents[False]
        event = trial_event(documents, name, seq, at, number)
        return Sent(event_id(event, documents), cloud_event(event, documents))


def _letter(recipient: Recipient, event: Event, documents: Documents, kept_at: float) -> NewLetter:
    told = event
    if recipient.pop_url and isinstance(event.data, CallOffered | CallAnswered):
        pop_url = filled(recipient.pop_url, structs.asdict(event.data))
        told = replace(event, data=replace(event.data, pop_url=pop_url))
    return NewLetter(
        hook=recipient.name,
        event=event_id(event, documents),
        type=f"ctid.{event.name}",
        subject=event.subject,
        kept_at=kept_at,
        body=cloud_event(told, documents),
    )
