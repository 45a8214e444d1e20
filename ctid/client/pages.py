"""A list that is longer than one answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Generic, Protocol, TypeVar, cast

from ctid.client.http import Http


class Page(Protocol):
    """What every page has; `next` is none on the last one."""

    @property
    def items(self) -> tuple[Any, ...]:
        """What it lists."""
        ...

    @property
    def next(self) -> str | None:
        """The cursor of the page that follows."""
        ...


P = TypeVar("P", bound=Page)
Item = TypeVar("Item")


class Pages(Generic[P, Item]):
    """A list, asked for page by page as it is read: `async for item in pages`.

    Nothing is asked before it is read, and each reading begins anew. Raises as any operation does.
    """

    def __init__(self, http: Http, page: type[P], path: str, query: Mapping[str, Any]) -> None:
        self._http = http
        self._page = page
        self._path = path
        self._query = query

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for page in self.pages():
            for item in page.items:
                yield cast(Item, item)

    async def pages(self) -> AsyncGenerator[P, None]:
        """The pages whole, with what else they tell."""
        query = dict(self._query)
        while True:
            page = await self._http.result(self._page, "GET", self._path, query=query)
            yield page
            if page.next is None:
                return
            query["cursor"] = page.next

    async def all(self) -> list[Item]:
        """Every item at once."""
        return [item async for item in self]
