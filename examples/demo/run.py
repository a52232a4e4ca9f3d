"""One run of the demo from start to exit status: the acts in their scene, shown as far as the terminal can."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

from rich.console import Console

from fleetcache.shared.embedded.errors import EmbeddedError

from .acts import ACTS, one_call_per_address, share_of
from .addresses import from_file, zipf
from .lines import Lines
from .numbers import Watch
from .plan import Plan, SceneError
from .result import Result, print_ending
from .scene import Scene
from .screen import Screen
from .stage import Show, Stage
from .traffic import RATE, Traffic

__all__ = ["perform", "run", "show_for"]

_ADDRESSES = 400  # requests are drawn from these: enough for a long tail, few enough to come again
_LOOKS = 0.25  # seconds between two updates of the numbers: smooth to the eye, and a twentieth of the instances' work
_PIPED_WIDTH = 120  # columns of the tables, without a terminal that tells its width
_INTERRUPTED = 128 + signal.SIGINT  # as shells report it
_SWITCH = 0.001  # seconds: a thread draws the screen, and should not hold up the client that measures times


def run(plan: Plan, *, as_json: bool = False) -> int:
    """Play the story, print its results, and return the exit status.

    Args:
        plan: The settings of the run.
        as_json: Print JSON to stdout; the story goes to stderr.

    Raises:
        SceneError: The scene cannot be set up, for the reason in the message.
    """
    console = _console(stderr=as_json)
    try:
        with _end_politely_on_sigterm(), _smooth(), show_for(console, plan) as show:
            result = perform(plan, show)
    except KeyboardInterrupt:
        console.print("stopped; nothing was left behind")
        return _INTERRUPTED
    except EmbeddedError as error:
        raise SceneError(str(error)) from error
    if as_json:
        print(json.dumps(result.as_dict(), indent=2))
    else:
        print_ending(console, result)
    return 0 if result.held else 1


def show_for(console: Console, plan: Plan) -> Show:
    """Return the live screen if the terminal can show one, else plain lines."""
    return Screen(console, plan) if Screen.fits(console, plan) else Lines(console)


def _console(*, stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, force_terminal=terminal, width=None if terminal else _PIPED_WIDTH)


@contextmanager
def _end_politely_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end this process as an exception does, so that the scene is cleared away."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _smooth() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def perform(plan: Plan, show: Show) -> Result:
    """Play the story.

    Args:
        plan: The settings of the run.
        show: Gets each event at its time.

    Raises:
        SceneError: The scene cannot be set up, for the reason in the message.
        EmbeddedError: There is no server to start.
    """
    began = time.monotonic()
    count = int(RATE * plan.seconds * share_of(one_call_per_address))
    requests = from_file(plan.trace, count) if plan.trace else None  # first of all, so that a bad file is known at once
    show.say(f"starting a server, the origin and {plan.instances} instances")
    with Scene(plan.instances, plan.seed) as scene:
        for name, instance in scene.instances.items():
            show.say(f"  instance {name}: {instance.url}, pid {instance.process.pid}")
        if requests is None:
            show.say(f"addresses: a Zipf law over {_ADDRESSES} that the origin's database knows, seed {plan.seed}")
            requests = zipf(scene.new_addresses(_ADDRESSES), count, plan.seed)
        else:
            show.say(f"addresses: the first {count:,} of {plan.trace}")
        return asyncio.run(_tell(scene, requests, plan, show, began))


async def _tell(scene: Scene, requests: list[str], plan: Plan, show: Show, began: float) -> Result:
    async with Traffic(scene.urls) as traffic:
        stage = Stage(scene, traffic, requests, show)
        watch = Watch(scene, traffic)
        async with _counted(watch, show):
            for number, act in enumerate(ACTS):
                show.act(number)
                await act.play(stage, plan.seconds * act.share)
        numbers = await watch.look()
    last_words = {} if stage.held else {each.name: each.last_words() for each in scene.processes}
    return Result(
        seconds=time.monotonic() - began,
        seed=plan.seed,
        trace=plan.trace,
        findings=stage.findings,
        timed=stage.timed,
        changes=stage.changes,
        numbers=numbers,
        last_words=last_words,
    )


@asynccontextmanager
async def _counted(watch: Watch, show: Show) -> AsyncIterator[None]:
    """Show the newest numbers while the block runs."""

    async def look() -> None:
        while True:
            show.count(await watch.look())
            await asyncio.sleep(_LOOKS)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
