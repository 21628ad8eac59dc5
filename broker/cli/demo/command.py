"""`keybroker demo`: starts everything, plays the story, tells what came of it."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Annotated

import grpc
import httpx
import typer

from broker.cli.demo.outlook import Outlook
from broker.cli.demo.screen import DemoScene
from broker.cli.demo.stage import open_stage
from broker.cli.demo.story import Story, new_groups, new_secrets
from broker.cli.demo.tally import Tally
from broker.cli.demo.traffic import Traffic
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command, new_app
from broker.cli.output import Output, note
from broker.cli.screens import Screen, new_screen
from keybroker import AsyncClient, KeybrokerError

DRAW_S = 0.15
PAUSE = Annotated[
    float,
    typer.Option(
        "--pause", min=0.0, max=60.0, metavar="SECONDS", help="How long to look at each act."
    ),
]

app = new_app()


@command(
    app,
    "demo",
    examples=("keybroker demo", "keybroker demo --pause 1 --format json"),
    exits=(Exit.FAILED,),
)
def demo(out: Output, *, pause: PAUSE = 7.0) -> None:
    """Play an outage on this machine: keys die, the broker copes, keys come back.

    It starts simulated providers and a broker of its own, sends traffic through the Python client,
    and ends by itself in about a minute with a summary. It touches nothing that exists already.
    """
    tally = Tally(new_groups())
    try:
        asyncio.run(_play(tally, pause))
    except (grpc.RpcError, httpx.HTTPError, KeybrokerError) as error:
        message = f"the demo broke off, since one of its processes failed: {type(error).__name__}"
        raise CommandError(Exit.FAILED, message) from None
    _summarise(out, tally)
    if tally.failed:
        failures = "; ".join(group.failure for group in tally.groups if group.failure)
        message = f"callers saw failures that the broker should have kept from them: {failures}"
        raise CommandError(Exit.FAILED, message)
    if tally.wrong_owner:
        raise CommandError(Exit.FAILED, "a request was served with a key of somebody else")


async def _play(tally: Tally, pause_s: float) -> None:
    secrets = new_secrets()
    note("Starting simulated providers and a broker …")
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(open_stage(secrets))
        client = await stack.enter_async_context(AsyncClient(stage.address))
        channel = grpc.aio.insecure_channel(stage.address, [("grpc.enable_http_proxy", 0)])
        await stack.enter_async_context(channel)
        outlook = Outlook(channel)
        await outlook.ask()
        screen = stack.enter_context(new_screen(DemoScene(outlook, tally)))
        story = Story(stage, outlook, tally, secrets, pause_s, screen.act)
        await story.prepare()
        traffic = Traffic(client, stage.http, tally)
        background = [
            asyncio.create_task(work) for work in (outlook.follow(), traffic.run(), _draw(screen))
        ]
        stack.push_async_callback(_end, background)
        playing = asyncio.create_task(story.play())
        await asyncio.wait({playing, *background}, return_when=asyncio.FIRST_COMPLETED)
        for task in background:
            if task.done():
                playing.cancel()
                with suppress(asyncio.CancelledError):
                    await playing
                task.result()
        await playing


async def _draw(screen: Screen) -> None:
    while True:
        screen.refresh()
        await asyncio.sleep(DRAW_S)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _summarise(out: Output, tally: Tally) -> None:
    """What a person, or a program, takes home."""
    if out.is_json:
        out.json(tally.as_json())
        return
    out.heading("What callers saw")
    out.table(
        ("callers", "requests", "served", "of these saved", "denied", "failed"),
        [
            (
                group.name,
                *map(str, (group.asked, group.served, group.saved, group.denied, group.failed)),
            )
            for group in tally.groups
        ],
    )
    out.heading("How long it took")
    out.table(
        ("what", "seconds"),
        [(stone.label, f"{stone.seconds:.2f}") for stone in tally.milestones],
    )
    calls = (f"{act.replace('_', ' ')} {count}" for act, count in tally.rejected_calls.items())
    out.line("")
    out.line(f"Calls made with a rejected secret: {', '.join(calls)}")
    out.line(
        f"{tally.asked} requests, {tally.failed} failed as callers saw it,"
        f" {tally.wrong_owner} served with a key of somebody else"
    )
