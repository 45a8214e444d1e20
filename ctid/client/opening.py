"""Words that may grow: an older client reads what a newer ctid says."""

from enum import StrEnum


class Open(StrEnum):
    """Words of which a newer ctid may know more; one that is not listed is kept as it is.

    Compare with `==`: two readings of an unlisted word are equal, and not the same object.
    """

    @classmethod
    def _missing_(cls, value: object) -> "Open | None":
        if not isinstance(value, str):
            return None
        unlisted = str.__new__(cls, value)
        unlisted._name_ = unlisted._value_ = value
        return unlisted
