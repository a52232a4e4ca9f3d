"""Sets the scene, plays the acts in it, and returns what was seen."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .addresses import from_file, zipf
from .calm import one_call_per_address
from .numbers import Watch
from .plan import Plan
from .result import Result
from .scene import Scene
from .show import Show
from .stage import Stage
from .story import ACTS, share_of
from .traffic import RATE, Traffic

__all__ = ["perform"]

_ADDRESSES = 400  # that requests are drawn from: enough for a long tail, few enough to come again
_LOOKS = 0.25  # seconds between two looks at the numbers: smooth to the eye, and a twentieth of the instances' work


def perform(plan: Plan, show: Show) -> Result:
    """Play the story.

    Args:
        plan: What was asked for.
        show: Told everything as it happens.

    Raises:
        SceneError: The scene cannot be set up; says why.
        EmbeddedError: There is no server to start.
    """
    began = time.monotonic()
    count = int(RATE * plan.seconds * share_of(one_call_per_address))
    requests = from_file(plan.trace, count) if plan.trace else None  # first of all: a bad file is known at once
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
