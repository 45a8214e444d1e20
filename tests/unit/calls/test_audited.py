from pathlib import Path

import pytest

from ctid.audit import Audit
from ctid.audit.entries import Item, Selection
from ctid.calls.audited import audited
from ctid.calls.words import Act, ActDone
from ctid.model.errors import AuditUnavailable
from ctid.model.ids import AgentId, CallId, PbxId
from helpers.fakes import FakeClock
from helpers.floor import BASE

DONE = ActDone(
    at=BASE,
    act=Act.TRANSFER,
    by="sofia",
    pbx=PbxId("lab"),
    call=CallId("lab.c1"),
    agent=AgentId("1001"),
    particulars={"to": "0612345678"},
)


async def written(audit: Audit, event: str) -> Item:
    """The one record of an event."""
    (item,) = await audit.items(Selection(event=event), after=0, upto=await audit.end(), limit=10)
    return item


async def test_an_act_is_a_record(tmp_path: Path) -> None:
    """Who, what, to whom; a number is masked, what was written can be erased, a refusal has its code."""
    audit = Audit(tmp_path, FakeClock())
    tell = audited(audit)
    await tell(DONE)
    item = await written(audit, "transfer")
    assert (item.by, item.agent, item.call, item.detail) == ("sofia", "1001", "lab.c1", "")
    assert item.payload is not None
    assert item.payload["about"] == {"act": "transfer", "to": "********78"}
    await tell(
        ActDone(
            at=BASE,
            act=Act.START_RECORDING,
            by="sofia",
            pbx=None,
            particulars={"basis": "why"},
            refused="x.y",
        )
    )
    refused = await written(audit, "refused")
    assert refused.detail == "x.y"
    assert refused.payload is not None
    assert refused.payload["about"] == {"act": "start_recording", "note": "why"}


async def test_an_audit_that_fails_undoes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The act is done: it is in ctid's log, as critical."""
    audit = Audit(tmp_path, FakeClock())

    async def fails(_: object) -> None:
        raise AuditUnavailable("full")

    monkeypatch.setattr(audit, "write", fails)
    await audited(audit)(DONE)
