"""The parts of the fault proxy under the name that tests know."""

from fleetcache.testing.pipes import CutError, Pipe, Way, reset

__all__ = ["CutError", "Pipe", "Way", "reset"]
