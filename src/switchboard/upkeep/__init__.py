"""Periodic work: what keeps the tables small. Everything here may run at any time, twice, or not at all for a day."""
