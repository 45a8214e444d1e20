"""A PIN that is entered by the keys of a phone. Pure."""

TRIES = 3


class PinEntry:
    """What has been entered of a PIN so far."""

    def __init__(self, pin: str) -> None:
        self._pin = pin
        self._entered = ""
        self._wrong = 0

    def press(self, key: str) -> bool | None:
        """Take a key: true when it completes the PIN, false when the last try was wrong, else none.

        A try is as long as the PIN; `*` and `#` begin it anew.
        """
        if not key.isdigit():
            self._entered = ""
            return None
        self._entered += key
        if len(self._entered) < len(self._pin):
            return None
        if self._entered == self._pin:
            return True
        self._entered = ""
        self._wrong += 1
        return False if self._wrong >= TRIES else None
