"""The demo's origin: the one of the example, with the demo's own table of networks for a database."""

from examples.geo.origin import serve

from .networks import Networks

if __name__ == "__main__":
    serve(Networks())
