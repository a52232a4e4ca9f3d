"""Adapters for frameworks, one module each. Like an application, an adapter imports public names only."""
