"""Lists that come in pages, read as one."""

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import typer

from broker.cli.output import note
from broker.cli.session import Rpc, Session
from keybroker.v1 import admin_pb2, status_pb2

MAX_PAGE: Final = 1000

LIMIT = Annotated[int, typer.Option("--limit", min=1, metavar="N", help="How many at most.")]

Request: TypeAlias = (
    admin_pb2.ListKeysRequest | admin_pb2.ListEventsRequest | status_pb2.ListRunnableModelsRequest
)
Page = TypeVar(
    "Page",
    admin_pb2.ListKeysResponse,
    admin_pb2.ListEventsResponse,
    status_pb2.ListRunnableModelsResponse,
)


def read_pages(
    session: Session,
    rpc: Rpc[Any, Page],
    request: Request,
    limit: int,
    count: Callable[[Page], int],
) -> Page:
    """One page with the first `limit` items of all; its token is empty when that is all of them.

    `count` tells how many items a page has.
    """
    request.page_size = min(limit, MAX_PAGE)
    whole = session.call(rpc, request)
    while whole.next_page_token and count(whole) < limit:
        request.page_token = whole.next_page_token
        request.page_size = min(limit - count(whole), MAX_PAGE)
        page = session.call(rpc, request)
        whole.MergeFrom(page)
        whole.next_page_token = page.next_page_token
    return whole


def tell_of_more(page: Page, limit: int) -> None:
    """Say that the table is not the whole list."""
    if page.next_page_token:
        note(f"There are more than {limit}: narrow the list down, or raise --limit.")
