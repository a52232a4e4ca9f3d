"""The black hole's needs of the machine, and a line in the report if it cannot run."""

import functools
import os
import shutil
import subprocess

MISSING_TOOLS = [tool for tool in ("ip", "unshare", "nsenter") if shutil.which(tool) is None]


@functools.cache
def no_black_hole_because() -> str:
    """Return the reason why this machine makes no network namespaces; empty if it does."""
    if os.geteuid() != 0:
        return "not root"
    if MISSING_TOOLS:
        return f"no {', '.join(MISSING_TOOLS)} on PATH"
    tried = subprocess.run(("unshare", "--net", "ip", "link", "set", "lo", "up"), capture_output=True, check=False)  # noqa: S607 - root's own
    return "" if tried.returncode == 0 else tried.stderr.decode(errors="replace").strip()


collect_ignore = ["test_black_hole.py"] if no_black_hole_because() else []


def pytest_report_collectionfinish() -> str:
    """Report the missing tests beside the number of tests."""
    because = no_black_hole_because()
    return f"not collected: tests/faults/test_black_hole.py ({because})" if because else "network namespaces: tested"
