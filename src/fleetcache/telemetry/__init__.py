"""Telemetry: counters, the log lines about outages, the health report.

Imported by everything above `wire`.
"""
