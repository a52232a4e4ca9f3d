"""Names in the environment that look like a setting and are none: without this check a typing mistake stays silent.

Only names are ever shown: the value of a mistyped variable may be a URL with its password.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from ...config.settings import VARIABLES
from .finding import Code, Finding, Severity

__all__ = ["near_misses"]

NAMES = tuple(variable.env for variable in VARIABLES)
OURS = "CACHE_"
# Users also begin variables with the package's own name.
BEGINNINGS = (OURS, "FLEETCACHE_")
# The ratio of difflib. REDIS_URI and REDIS_URL have 0.89, TTLS and TTL 0.86, MAX_ITEMS and NEAR_MAX_ITEMS 0.78; two
# three-letter words with one letter in common, such as URL and TTL, have 0.33.
ALIKE = 0.75


def near_misses(environ: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each name that resembles a setting, and one for all other names that begin like a setting.

    Args:
        environ: The variables.

    Example:
        >>> [finding.action for finding in near_misses({"CACHE_TTLS": "5m"})]
        ['did you mean CACHE_TTL?']
    """
    names = sorted(name for name in environ if name not in NAMES)
    meant = dict(_meant(names))
    found = [_finding(name, wanted, environ) for name, wanted in meant.items()]
    others = [name for name in names if name.upper().startswith(OURS) and name not in meant]
    if others:
        message = f"not settings of fleetcache, and ignored: {', '.join(others)}"
        found.append(Finding(Code.UNKNOWN_NAME, Severity.NOTE, message))
    return found


def _meant(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that resembles a setting, with that setting."""
    endings = {name.removeprefix(OURS): name for name in NAMES if name.startswith(OURS)}
    for name in names:
        upper = name.upper()
        if upper == "CACHE_URL":  # below the ratio, but meant: other frameworks use this name
            yield name, "CACHE_REDIS_URL"
            continue
        beginning = next((each for each in BEGINNINGS if upper.startswith(each)), None)
        if beginning is not None:
            # Compare without the common beginning, or every CACHE_ABC would look like CACHE_TTL.
            if close := get_close_matches(upper.removeprefix(beginning), endings, 1, ALIKE):
                yield name, endings[close[0]]
        elif upper.startswith("REDIS") and get_close_matches(upper, ["REDIS_URL"], 1, ALIKE):
            yield name, "REDIS_URL"


def _finding(name: str, wanted: str, environ: Mapping[str, str]) -> Finding:
    if environ.get(wanted, "").strip():  # a user who set both knows that there are two
        message = f"{name} is not a setting of fleetcache, and ignored; {wanted} is set"
        return Finding(Code.NEAR_MISS, Severity.NOTE, message, about=name)
    message = f"{name} is set, but is not a setting of fleetcache: it is ignored"
    return Finding(Code.NEAR_MISS, Severity.WARNING, message, f"did you mean {wanted}?", about=name)
