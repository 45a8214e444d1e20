"""Who should hear whom in a supervised call, and who does: pictures, and their tables. Pure."""

from collections.abc import Mapping

from msgspec import Struct
from rich.table import Table
from rich.text import Text

from ctid.model.words import Mode
from lab import hearing, roster
from lab.tones import Heard

NAMES = {agent.number: agent.name for agent in roster.AGENTS}


class Ear(Struct, frozen=True, kw_only=True):
    """What one party of the call heard: `levels` has the tones that were heard, in dBFS."""

    role: str
    number: str
    wanted: tuple[str, ...]
    levels: dict[str, float]
    right: bool


class Picture(Struct, frozen=True, kw_only=True):
    """What customer, agent and supervisor heard in one mode.

    `gap_s`: the longest silence in what the supervisor should hear across the switch, in seconds; None where
    it was not measured. `recording`: the WAV file of what she heard, empty where there is none.
    """

    mode: Mode
    customer: str
    agent: str
    supervisor: str
    ears: tuple[Ear, ...]
    gap_s: float | None = None
    recording: str = ""

    @property
    def right(self) -> bool:
        """Whether each heard all whom she should, and nobody else."""
        return all(ear.right for ear in self.ears)


def wanted(mode: Mode, *, customer: str, agent: str, supervisor: str) -> dict[str, tuple[str, ...]]:
    """Whom each of the three hears in a mode: number -> numbers."""
    both = (customer, agent)
    match mode:
        case Mode.LISTEN:
            return {customer: (agent,), agent: (customer,), supervisor: both}
        case Mode.WHISPER:
            return {customer: (agent,), agent: (customer, supervisor), supervisor: both}
        case Mode.BARGE:
            return {customer: (agent, supervisor), agent: (customer, supervisor), supervisor: both}
        case Mode.TAKEOVER:
            return {customer: (supervisor,), agent: (), supervisor: (customer,)}


def ear(role: str, number: str, whom: tuple[str, ...], heard: Heard, cast: frozenset[str]) -> Ear:
    """Judge what a phone heard by the tones of the phones in `cast`; other frequencies may carry speech."""
    shares = {other: share for other, share in hearing.shares(heard).items() if other in cast}
    loudness = hearing.medians(heard)
    audible = {other: round(loudness[other], 1) for other, share in shares.items() if share > hearing.STRAY}
    return Ear(
        role=role,
        number=number,
        wanted=whom,
        levels=audible,
        right=hearing.is_picture(shares, set(whom)),
    )


def table(picture: Picture) -> Table:
    """The picture for a person, in 80 columns: a row for each who hears, a column for each who is heard."""
    grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    columns = {"customer": picture.customer, "agent": picture.agent, "supervisor": picture.supervisor}
    grid.add_column(Text.assemble((str(picture.mode).upper(), "bold cyan"), ", who hears:"), no_wrap=True)
    for role in columns:
        grid.add_column(role, no_wrap=True, min_width=len("-23 dBFS"))
    grid.add_column("")
    for hearer in picture.ears:
        cells = [_cell(hearer, number) for number in columns.values()]
        strangers = sorted(hearer.levels.keys() - set(columns.values()))
        verdict = Text("right", style="green") if hearer.right else Text("WRONG", style="bold red")
        if strangers:
            verdict.append(f" hears {', '.join(strangers)}", style="bold red")
        grid.add_row(_name(hearer.role, hearer.number), *cells, verdict)
    return grid


def _name(role: str, number: str) -> str:
    return f"{role:<10} {number} {NAMES.get(number, '')}".rstrip()


def _cell(hearer: Ear, number: str) -> Text:
    if number == hearer.number:
        return Text("·", style="dim")
    style = "green" if (number in hearer.levels) is (number in hearer.wanted) else "bold red"
    if number in hearer.levels:
        return Text(f"{hearer.levels[number]:.0f} dBFS", style=style)
    return Text("no", style=style)


def told(picture: Picture, said: str, calls: Mapping[str, float]) -> str:
    """The lines under a picture: what was asked of ctid and the seconds that it took, gap and recording."""
    asked = "; ".join(f"{request} in {seconds * 1000:.0f} ms" for request, seconds in calls.items())
    lines = [f"{said}   [{asked}]" if asked else said]
    if picture.gap_s is not None:
        lines.append(f"longest gap in what she heard across the switch: {picture.gap_s * 1000:.0f} ms")
    if picture.recording:
        lines.append(f"what she heard: {picture.recording}")
    return "\n".join(lines)
