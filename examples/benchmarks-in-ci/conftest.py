"""Bring the fixture `jws_gate` and its options."""

pytest_plugins = ["rapidjws.testing.benchmarks"]
