"""A shop in Flask: a cached function, its invalidation, sessions on the server, and a health route.

Set up by the environment alone (``REDIS_URL``, ``CACHE_PREFIX``, ``SECRET_KEY``); without a server it runs in memory.

Run it: ``gunicorn --preload --workers 2 "examples.flask.app:create_app()"``, or ``flask --app examples.flask.app run``.
"""

import os
import time

from flask import Blueprint, Flask, Response, jsonify, session
from flask_session import Session

from fleetcache.contrib.flask import FleetCache, cachelib, health_blueprint

cache = FleetCache()
shop = Blueprint("shop", __name__)
PRICES = {"pear": 3, "plum": 5}  # your database


@cache.cached(ttl="10m", stale="1h", key="price:{item}")
def price(item: str) -> int:
    """Return the price; the whole fleet loads it once."""
    time.sleep(0.05)  # a database takes its time
    cache.incr("loads")
    return PRICES[item]


@shop.get("/price/<item>")
def show(item: str) -> Response:
    """Return the price, the process that answered, and the number of loads."""
    if item not in PRICES:
        return Response("no such thing\n", 404)
    cents = price(item)
    return jsonify(price=cents, worker=os.getpid(), loads=cache.get("loads"))


@shop.post("/price/<item>")
def changed(item: str) -> Response:
    """Let every instance forget a price, after a change of it."""
    price.invalidate(item)
    return Response(status=204)


@shop.post("/cart/<item>")
def put(item: str) -> Response:
    """Put an item into the session's cart, which any worker can read."""
    session["cart"] = [*session.get("cart", ()), item]
    return jsonify(session["cart"])


def create_app() -> Flask:
    """Return the app; nothing connects before its first use, so a server may import it first and fork then."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "only for trying it out")
    cache.init_app(app)
    sessions = cachelib(app, "sessions", near=False, offline_ttl="1h")
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=sessions)
    Session(app)
    app.register_blueprint(shop)
    app.register_blueprint(health_blueprint(cache))
    return app
