"""Runs the examples of docs/django.md in a process of their own, because a process has the settings of one site.

``python -m tests.frameworks.django_page``
"""

from typing import Any

import django
from django.conf import settings

from tests.docs.pages import DOCS, blocks
from tests.docs.running import example


def main() -> None:
    """Set up Django with the page's first block, and run the others."""
    first, *others = blocks((DOCS / "django.md").read_text(encoding="utf-8"), "py")
    assert first.info == 'py title="settings.py"'
    said: dict[str, Any] = {}
    exec(first.code, said)  # noqa: S102 - our own page
    settings.configure(
        SECRET_KEY="of the page",  # noqa: S106 - of no use to anybody
        **{name: value for name, value in said.items() if name.isupper()},
        USE_TZ=True,
    )
    django.setup()
    with example("django") as shown:
        for block in others:
            shown.run(block)


if __name__ == "__main__":
    main()
