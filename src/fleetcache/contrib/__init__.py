"""Adapters for frameworks, one module each. They see what every user sees: public names."""
