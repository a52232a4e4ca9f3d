"""A Django site, as small as the tests allow: sessions, templates, cached pages, on sqlite in memory.

The import sets Django up in this process; each test sets its caches.
"""

from typing import Any

import django
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Template
from django.urls import path
from django.views.decorators.cache import cache_page

from fleetcache.contrib.django import health

__all__ = ["BACKEND", "SECRET", "caches_at", "database", "loads"]

BACKEND = "fleetcache.contrib.django.FleetCache"
SECRET = "a key of a site that is nowhere"  # noqa: S105 - of no use to anybody

settings.configure(
    ALLOWED_HOSTS=["*"],
    CACHES={"default": {"BACKEND": BACKEND, "LOCATION": "memory://"}},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:site?mode=memory&cache=shared"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.sessions", "fleetcache.contrib.django"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=SECRET,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    USE_TZ=True,
)
django.setup()

loads: list[str] = []
"""What had to be made, because no cache had it."""


def database() -> None:
    """Create the tables."""
    if "django_session" not in connection.introspection.table_names():
        call_command("migrate", verbosity=0, run_syncdb=True)


def caches_at(url: str, prefix: str, **more: Any) -> dict[str, Any]:
    """Return a value of CACHES with one alias."""
    options = {"prefix": prefix, "operation_timeout": "5s"} | more.pop("OPTIONS", {})
    return {"default": {"BACKEND": BACKEND, "LOCATION": url, "OPTIONS": options, **more}}


# -- views -------------------------------------------------------------------------------------------------------------


def visits(request: HttpRequest) -> HttpResponse:
    """Count visits in the session."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


async def visits_async(request: HttpRequest) -> HttpResponse:
    """Count visits in an async view, as most are written: it reads the session on the event loop."""
    return visits(request)


@cache_page(60)
def page(_request: HttpRequest) -> HttpResponse:
    """Return a whole page."""
    loads.append("page")
    return HttpResponse("a page")


def fragment(_request: HttpRequest) -> HttpResponse:
    """Return a part of a page."""

    def part() -> str:
        loads.append("fragment")
        return "a part"

    template = Template("{% load cache %}{% cache 60 part %}{{ part }}{% endcache %}")
    return HttpResponse(template.render(Context({"part": part})))


async def shared_with_threads(_request: HttpRequest) -> HttpResponse:
    """Store a value by a task, and return the value that a sync view stored."""
    await cache.aset("by-a-task", [1])
    return JsonResponse({"by-a-thread": await cache.aget("by-a-thread")})


def shared_with_tasks(_request: HttpRequest) -> HttpResponse:
    """Store a value by a thread, and return the value that an async view stored."""
    cache.set("by-a-thread", [2])
    return JsonResponse({"by-a-task": cache.get("by-a-task")})


urlpatterns = [
    path("visits", visits),
    path("visits-async", visits_async),
    path("page", page),
    path("fragment", fragment),
    path("async", shared_with_threads),
    path("sync", shared_with_tasks),
    path("healthz", health),
    path("healthz/full", health, {"detail": "full"}),
    path("healthz/wrong", health, {"detail": "much"}),
]
