from typing import get_args

from ctid.events.catalogue import EVENTS, OCCURRED, REMOVED, name_of
from ctid.events.schemas import published
from ctid.events.structs import ENTITY_DOCUMENTS, HIDDEN, Header, schema_of
from ctid.model.entities import ENTITIES, Pbx
from ctid.model.facts import Moment


def test_every_moment_can_be_told() -> None:
    """Whatever a driver can say happened has its document, with the fields that the fact has."""
    for moment in get_args(Moment):
        kind = OCCURRED[str(moment.__struct_config__.tag)]
        figures = {name for name in moment.__struct_fields__ if name in ("position", "hold_s", "ring_s")}
        assert figures <= set(kind.__struct_fields__)


def test_each_type_has_one_document() -> None:
    """A type's own document bears its name; the others have the whole document of their entity."""
    for name, event in EVENTS.items():
        assert event.name == name
        assert issubclass(event.data, Header)
        assert event.when.endswith(".")
        whole = ENTITY_DOCUMENTS.get(name.partition(".")[0])
        assert event.data is whole or name_of(event.data) == name
    assert set(REMOVED) == {kind.kind for kind in ENTITIES} - {Pbx.kind}


def test_what_not_all_may_read() -> None:
    """Who listens to whom, who asks for help, and who was coached."""
    guarded = {name.partition(".")[0] for name, event in EVENTS.items() if event.guarded}
    assert guarded == {"supervision", "help", "monitoring", "sheet"}


def test_documents_show_their_entities() -> None:
    """Every field of an entity is in its document, but for what the bus does not tell."""
    for entity in ENTITIES:
        document = ENTITY_DOCUMENTS[entity.kind]
        shown = set(entity.__struct_fields__) - HIDDEN.get(entity, frozenset())
        assert set(document.__struct_fields__) == shown | set(Header.__struct_fields__)
        assert schema_of(document) == f"ctid.{entity.kind}/1"


def test_what_may_be_left_out_is_not_demanded() -> None:
    """A field that an event has only sometimes is in its schema, and not among those that must be there."""
    schema = published()["ctid.call.offered/1"]
    assert set(schema["properties"]) - set(schema["required"]) == {"pop_url"}
