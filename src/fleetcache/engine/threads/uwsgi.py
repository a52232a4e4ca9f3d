"""What uWSGI has to be told where there is a link thread: it leaves Python's threads out of account unless asked.

It is seen by the module that it puts into the processes it runs.
"""

from typing import Any

__all__ = ["advice"]


def advice(uwsgi: Any, pid: int) -> str | None:
    """What is wrong with how uWSGI runs this process, and what to do; ``None`` if nothing is, or nothing is known.

    Args:
        uwsgi: Its module, or what goes by that name; ``None`` without it.
        pid: This process.
    """
    if not hasattr(uwsgi, "masterpid"):
        return None
    if not getattr(uwsgi, "has_threads", True):  # on by default from 2.0.27 on
        return (
            "uWSGI runs no second thread: between requests the link to the server stands still, and after a pause near"
            " copies are not trusted. Set `enable-threads = true`"
        )
    if uwsgi.masterpid() == pid and "py-call-uwsgi-fork-hooks" not in uwsgi.opt:
        # It forks while the link thread may hold the interpreter's lock, which nobody gives back in the child.
        return (
            "the cache is used before uWSGI forks its workers, and some of them may hang from their start on."
            " Set `py-call-uwsgi-fork-hooks = true` or `lazy-apps = true`, or do not use the cache at import"
        )
    return None
