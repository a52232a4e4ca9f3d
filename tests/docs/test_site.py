"""The site's changes to the pages: pages of the root, links that still lead somewhere, no files of other servers."""

import logging
from types import SimpleNamespace

import pytest

from docs.tools.site import on_page_content, on_page_markdown, on_post_page


def page(path: str) -> SimpleNamespace:
    return SimpleNamespace(file=SimpleNamespace(src_uri=path))


@pytest.mark.parametrize(
    ("path", "link", "led"),
    [
        ("security.md", "[x](../SECURITY.md#signing)", "[x](SECURITY.md#signing)"),
        ("migration/django.md", "[x](../../SECURITY.md)", "[x](../SECURITY.md)"),
        ("example.md", "[`app.py`](../examples/geo/app.py)", "`app.py`"),
        ("example.md", "[health](health.md)", "[health](health.md)"),
    ],
)
def test_links_out_of_the_pages_lead_to_what_the_site_has(path: str, link: str, led: str) -> None:
    assert on_page_markdown(link, page(path)) == led


def test_the_two_forms_of_an_example_are_two_tabs() -> None:
    text = 'So:\n\n```py title="a.py"\nawait one()\n\n```\n\n```py threads title="a.py"\none()\n```\n\nThen.\n'
    assert on_page_markdown(text, page("tags.md")) == (
        'So:\n\n=== "asyncio"\n\n    ```py title="a.py"\n    await one()\n\n    ```\n\n'
        '=== "threads"\n\n    ```py title="a.py"\n    one()\n    ```\n\n\nThen.\n'
    )


def test_two_examples_in_a_row_are_no_tabs() -> None:
    text = "```python\none()\n```\n\n```python\ntwo()\n```\n"
    assert on_page_markdown(text, page("tags.md")) == text


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://cdn.example/mermaid.js">',
        "<script async src=//cdn.example/a.js>",
        '<link rel="stylesheet" href="https://fonts.example/css">',
        '<img alt="x" src="http://example/badge.svg">',
    ],
)
def test_what_others_serve_is_a_warning_and_so_an_error(tag: str, caplog: pytest.LogCaptureFixture) -> None:
    assert on_post_page(tag, page("index.md")) == tag
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("tag", ['<script src="assets/a.js">', '<a href="https://example">', '<link href="../a.css">'])
def test_what_the_site_has_itself_and_links_are_fine(tag: str, caplog: pytest.LogCaptureFixture) -> None:
    on_post_page(tag, page("index.md"))
    assert caplog.records == []


@pytest.mark.parametrize(("path", "meta"), [("api/errors.md", {"search": {"boost": 0.5}}), ("tags.md", {})])
def test_the_reference_ranks_below_the_pages(path: str, meta: dict[str, object]) -> None:
    ranked = SimpleNamespace(file=SimpleNamespace(src_uri=path), meta={})
    assert on_page_content("<p>", ranked) == "<p>"
    assert ranked.meta == meta
