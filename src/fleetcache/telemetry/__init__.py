"""What happened and how it is: counters, the log, the health report.

Imported by everything above `wire`.
"""
