"""A client of Asterisk's REST interface: the requests that supervision needs, and the event socket.

Source: the ARI pages of docs.asterisk.org (channels, bridges, events).
"""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import aiohttp
import msgspec

from ctid_asterisk import actions
from ctid_asterisk.actions import DialPlace

REQUEST_S = 5.0
"""A request to a PBX on the same site answers in milliseconds; one that does not is lost."""
HEARTBEAT_S = 10.0


class AriError(Exception):
    """ARI answered with an error. `status` is HTTP's; 404 says that the resource is no more."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"ARI answered {status}: {message}")
        self.status = status
        self.message = message


class AriLost(Exception):
    """ARI cannot be reached, or does not answer."""


class Ari:
    """One session with one Asterisk, as one Stasis application; used once."""

    def __init__(self, url: str, username: str, password: str, app: str) -> None:
        self.app = app
        self._url = url.rstrip("/")
        self._http = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(username, password)},
            timeout=aiohttp.ClientTimeout(total=REQUEST_S),
            connector=aiohttp.TCPConnector(limit=20),
        )
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self) -> None:
        """Register the application by opening its event socket.

        Raises:
            AriError: refused (401: user or password; 404: ARI is not enabled).
            AriLost: not reachable.
        """
        url = f"{self._url}/ari/events"
        try:
            self._socket = await self._http.ws_connect(
                url,
                params={"app": self.app, "subscribeAll": "false"},
                heartbeat=HEARTBEAT_S,
                max_msg_size=4 * 1024 * 1024,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise AriError(error.status, error.message) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise AriLost(f"{url}: {error}") from error

    async def close(self) -> None:
        """End the session; idempotent."""
        if self._socket is not None:
            await self._socket.close()
        await self._http.close()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Iterate over the events until the socket ends, then raise `AriLost`."""
        assert self._socket is not None, "open() comes first"  # noqa: S101 - a mistake of ours
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                yield msgspec.json.decode(message.data)
        raise AriLost(f"the event socket ended (code {self._socket.close_code})")

    async def _request(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: object = None
    ) -> Any:
        if self._http.closed:
            raise AriLost(f"{method} {path}: this session has ended")
        try:
            async with self._http.request(
                method, f"{self._url}/ari/{path}", params=params, json=body
            ) as response:
                data = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise AriLost(f"{method} {path}: {type(error).__name__} {error}") from error
        try:
            answer = msgspec.json.decode(data) if data else None
        except msgspec.DecodeError as error:
            if response.status < 400:
                raise AriLost(f"{method} {path}: the answer is not of ARI ({error})") from error
            answer = None  # an error page: of the HTTP server when ARI is off, or of a proxy
        if response.status >= 400:
            message = answer.get("message") or answer.get("error") if isinstance(answer, dict) else None
            raise AriError(response.status, str(message or response.reason))
        return answer

    async def _delete(self, path: str, params: Mapping[str, str] | None = None) -> None:
        """Delete what may be gone already."""
        try:
            await self._request("DELETE", path, params)
        except AriError as error:
            if error.status != 404:
                raise

    async def channels(self) -> list[dict[str, Any]]:
        """All channels (Channel objects)."""
        channels: list[dict[str, Any]] = await self._request("GET", "channels")
        return channels

    async def bridges(self) -> list[dict[str, Any]]:
        """All bridges (Bridge objects)."""
        bridges: list[dict[str, Any]] = await self._request("GET", "bridges")
        return bridges

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        """Set a channel's variable."""
        await self._request("POST", f"channels/{channel}/variable", body={"variable": name, "value": value})

    async def variable(self, channel: str, name: str) -> str:
        """A channel's variable; empty when it has none."""
        try:
            answer = await self._request("GET", f"channels/{channel}/variable", {"variable": name})
        except AriError as error:
            if error.status == 404:
                return ""
            raise
        return str(answer["value"])

    async def ring(
        self, channel: str, endpoint: str, ring_s: float, caller_id: str, variables: Mapping[str, str]
    ) -> None:
        """Ring an endpoint; when it answers, it enters the application.

        Raises:
            ArgumentError, InjectionError: it is not one phone; nothing was asked of the PBX.
        """
        params = {
            "endpoint": actions.phone(endpoint),
            "app": self.app,
            "callerId": caller_id,
            "timeout": str(max(1, round(ring_s))),
        }
        await self._request("POST", f"channels/{channel}", params, {"variables": dict(variables)})

    async def dial(
        self,
        channel: str,
        place: DialPlace,
        *,
        ring_s: float,
        caller_id: str = "",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Ring an endpoint; when it answers, it goes on at a place of the dialplan. Returns as it rings."""
        params = {
            "endpoint": place.endpoint,
            "context": place.context,
            "extension": place.extension,
            "priority": "1",
            "timeout": str(max(1, round(ring_s))),
        } | ({"callerId": caller_id} if caller_id else {})
        body = {"variables": dict(variables)} if variables else None
        await self._request("POST", f"channels/{channel}", params, body)

    async def snoop(self, target: str, channel: str, *, spy: str, whisper: str) -> None:
        """Make a snoop channel on `target`; it enters the application."""
        params = {"spy": spy, "whisper": whisper, "app": self.app}
        await self._request("POST", f"channels/{target}/snoop/{channel}", params)

    async def hang_up(self, channel: str) -> None:
        """Hang a channel up; nothing if it is gone."""
        await self._delete(f"channels/{channel}", {"reason": "normal"})

    async def mute(self, channel: str, *, on: bool) -> None:
        """Drop, or let pass, all audio that comes from a channel."""
        method = "POST" if on else "DELETE"
        await self._request(method, f"channels/{channel}/mute", {"direction": "in"})

    async def play(self, channel: str, playback: str, media: str) -> None:
        """Play to a channel that is in no bridge, until it is stopped or has an end."""
        # In the body, because a comma in the query would part one medium from the next.
        await self._request("POST", f"channels/{channel}/play/{playback}", body={"media": [media]})

    async def play_to_bridge(self, bridge: str, playback: str, media: str) -> None:
        """Play to all in a bridge, until it is stopped or has an end."""
        await self._request("POST", f"bridges/{bridge}/play/{playback}", body={"media": [media]})

    async def stop_play(self, playback: str) -> None:
        """Stop a playback; nothing if it is over."""
        await self._delete(f"playbacks/{playback}")

    async def packets(self, channel: str) -> tuple[int, int] | None:
        """How many RTP packets have come from and gone to a channel; none when it has no RTP of its own."""
        try:
            answer = await self._request("GET", f"channels/{channel}/rtp_statistics")
        except AriError as error:
            if error.status in (404, 409, 500):
                return None
            raise
        return int(answer["rxcount"]), int(answer["txcount"])

    async def follow(self, channel: str) -> None:
        """Have the events of a channel that is not in the application come as well, its end above all."""
        await self._request(
            "POST", f"applications/{self.app}/subscription", {"eventSource": f"channel:{channel}"}
        )

    async def create_bridge(self, bridge: str) -> None:
        """Create a mixing bridge."""
        await self._request("POST", f"bridges/{bridge}", {"type": "mixing", "name": bridge})

    async def destroy_bridge(self, bridge: str) -> None:
        """Destroy a bridge; nothing if it is gone."""
        await self._delete(f"bridges/{bridge}")

    async def add(self, bridge: str, channel: str, *, absorb_dtmf: bool = False) -> None:
        """Put a channel of the application into a bridge; its keys go no further if they are absorbed."""
        params = {"channel": channel, "absorbDTMF": "true" if absorb_dtmf else "false"}
        await self._request("POST", f"bridges/{bridge}/addChannel", params)

    async def take_out(self, bridge: str, channel: str) -> None:
        """Take a channel out of a bridge."""
        await self._request("POST", f"bridges/{bridge}/removeChannel", {"channel": channel})
