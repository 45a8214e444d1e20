import pytest

from ctid.model.errors import PbxRefused
from ctid_asterisk import actions
from ctid_asterisk.refusals import told_as_ctid_errors


async def test_what_cannot_be_asked_is_told() -> None:
    """A step that our own checks do not let out to the PBX is a refusal, not a fault."""
    with pytest.raises(PbxRefused, match="is more than one phone"):
        async with told_as_ctid_errors():
            actions.phone("PJSIP/2001&PJSIP/2002")
