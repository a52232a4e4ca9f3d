"""Additions of the site to the pages: pages of the repository's root, tabs, and a check for files of other servers.

mkdocs calls these functions by their names (``hooks`` in ``mkdocs.yml``). With ``--strict`` a warning is an error.
"""

import logging
import re
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ROOT_PAGES = ("SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md")

log = logging.getLogger("mkdocs.hooks.site")

_LOADED = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")
_ROOT_PAGE = re.compile(rf"\]\((?:\.\./)+({'|'.join(map(re.escape, ROOT_PAGES))})")
# An example and, right after it, its form for threads: two blocks in any Markdown reader, two tabs on the site.
TWINS = re.compile(
    r"^(?P<asyncio>```py(?:thon)?\b.*\n(?:(?!```).*\n)*```\n)\n"
    r"(?P<open>```py(?:thon)?) threads(?P<rest>.*\n(?:(?!```).*\n)*```\n)",
    re.MULTILINE,
)
_OTHER_FILE = re.compile(r"\[(`[^`\]]+`)\]\((?:\.\./)*(?:src|tests|examples|benchmarks)/[^)]*\)")


_REFERENCE_BOOST = 0.5  # of a page; a method's own name still finds the method first


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the repository's root, where readers of a repository look for them."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - mkdocs alone calls this

    for name in ROOT_PAGES:
        content = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to pages of the root to their copies here; name files that the site does not have without a link."""
    up = "../" * page.file.src_uri.count("/")
    markdown = TWINS.sub(
        lambda twins: _tab("asyncio", twins["asyncio"]) + _tab("threads", twins["open"] + twins["rest"]), markdown
    )
    return _OTHER_FILE.sub(r"\1", _ROOT_PAGE.sub(rf"]({up}\1", markdown))


def _tab(name: str, block: str) -> str:
    return f'=== "{name}"\n\n{textwrap.indent(block, "    ")}\n'


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Rank the reference below the pages: the search for "stale-if-error" finds its page before the names of errors."""
    if page.file.src_uri.startswith("api/"):
        page.meta["search"] = {"boost": _REFERENCE_BOOST}
    return html


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn of files of other servers: the site works without a network, and reports no reader to anyone."""
    for tag in _LOADED.findall(output):
        log.warning("%s loads from elsewhere: %s", page.file.src_uri, tag)
    return output
