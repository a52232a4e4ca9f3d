"""A whole Django site in one file: a cached function, a cached page, a session and a health view, all on fleetcache.

Run it: ``python examples/django/shop.py runserver``. With workers: ``gunicorn --chdir examples/django shop:wsgi``, or
``uvicorn --app-dir examples/django shop:asgi``. It caches in memory until ``REDIS_URL`` names a server.
"""

import os
import sys
import time

from django.conf import settings

settings.configure(
    DEBUG=os.environ.get("DEBUG") == "yes",
    SECRET_KEY=os.environ.get("SECRET_KEY", "for this example only, for it signs what is cached"),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "fleetcache.contrib.django"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    # There is no LOCATION: CACHE_DRIVER, REDIS_URL and the other variables of fleetcache choose the server.
    CACHES={"default": {"BACKEND": "fleetcache.contrib.django.FleetCache", "OPTIONS": {"prefix": "example"}}},
    USE_TZ=True,
)

# ruff: noqa: E402 - Django wants its settings first
from django.core.asgi import get_asgi_application
from django.core.cache import cache
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.cache import cache_page

from fleetcache.contrib.django import health


def report() -> dict[str, object]:
    """Return the report. It takes long, so the whole fleet makes it once."""
    time.sleep(0.2)
    return {"made_by": os.getpid(), "at": time.time()}


def show(request: HttpRequest) -> JsonResponse:
    """Show the same report from every worker, and the number of this visitor's visits."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    found = cache.get_or_set("report", report, 60)
    return JsonResponse({"report": found, "visits": request.session["visits"], "answered_by": os.getpid()})


async def show_async(_request: HttpRequest) -> JsonResponse:
    """Show the same report in an async view: from the same near copy, and without a thread."""
    return JsonResponse({"report": await cache.aget_or_set("report", report, 60), "answered_by": os.getpid()})


@cache_page(60)
def page(_request: HttpRequest) -> JsonResponse:
    """Show a whole page, which is cached."""
    return JsonResponse({"made_by": os.getpid(), "at": time.time()})


async def forget(_request: HttpRequest) -> JsonResponse:
    """Let every instance forget the report."""
    return JsonResponse({"was_there": await cache.adelete("report")})


urlpatterns = [
    path("", show),
    path("async", show_async),
    path("page", page),
    path("forget", forget),
    path("healthz", health),
]
wsgi = get_wsgi_application()
asgi = get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
