"""Game days: a fault injected into a service of its own, found by its alerts and ended by its runbook."""
