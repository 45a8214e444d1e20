"""One supervision session that ChanSpy carries, and what the PBX has told of its channels."""

from ctid_asterisk.sessions import Names, Record
from ctid_asterisk.spying import KeyWatch, is_live
from ctid_asterisk.stage_session import Session


class SpySession(Session):
    """One session that is under way."""

    def __init__(self, record: Record, names: Names, phone: str) -> None:
        super().__init__(record, names, phone)
        self.answered = False
        self.cause: int | None = None
        """Why her channel has ended (Q.850); none while it has not."""
        self.spied = ""
        """The channel that she listens to, as ChanSpy has told."""
        self.starts = 0
        """How often ChanSpy has begun."""
        self.agent_left = False
        """The leg that she is to listen to has hung up."""
        self.options = ""
        """Those that ChanSpy was last started with."""
        self.barged: str | None = None
        """Whom ChanSpy lets hear her besides the agent, once it has barged; empty: not known who."""
        self.keys = KeyWatch()
        self.pin_right: bool | None = None
        """Whether the PIN that is asked for was entered, or was wrong too often; none while she tries."""

    @property
    def is_live(self) -> bool:
        """Whether ChanSpy obeys keys."""
        return is_live(self.options)
