"""The uWSGI options that a link thread needs: uWSGI ignores Python's threads unless an option says otherwise.

uWSGI is recognised by the module that it puts into its processes.
"""

import logging
import os
import sys
from typing import Any

from ...log import Teller

__all__ = ["uwsgi_warning", "warn_of_uwsgi"]


def warn_of_uwsgi(tell: Teller) -> None:
    """Log the warning about uWSGI's options for this process, if there is one."""
    if (warning := uwsgi_warning(sys.modules.get("uwsgi"), os.getpid())) is not None:
        tell(logging.WARNING, "uwsgi", warning)


def uwsgi_warning(uwsgi: Any, pid: int) -> str | None:
    """Return a warning about uWSGI's options for this process, and the remedy; ``None`` if no problem is known.

    Args:
        uwsgi: The module called ``uwsgi``, which may be another one; ``None`` without it.
        pid: The id of this process.
    """
    if not hasattr(uwsgi, "masterpid"):
        return None
    if not getattr(uwsgi, "has_threads", True):  # on by default from 2.0.27 on
        return (
            "uwsgi: no second thread runs (enable-threads is off); between requests the link to the server stands"
            " still, and after a pause near copies are not trusted. Set `enable-threads = true`"
        )
    if uwsgi.masterpid() == pid and "py-call-uwsgi-fork-hooks" not in uwsgi.opt:
        # uWSGI forks while the link thread may hold the interpreter's lock, which no thread releases in the child.
        return (
            "uwsgi: the cache is used before the workers are forked; some of them may hang from their start on."
            " Set `py-call-uwsgi-fork-hooks = true` or `lazy-apps = true`, or do not use the cache at import"
        )
    return None
