"""The query of what was asked for, which may hold a token, is in no record of the audit trail."""

from __future__ import annotations

from audit_service import service


def test_L_a_record_has_the_route_without_its_query() -> None:
    """As in log lines: what cannot be taken back holds no token of an address."""
    with service() as world:
        token = world.token()
        for route in (f"/pay?access_token={token}", "/pay?", "/pay", f"/p\u00e4y?{token}"):
            world.decide(token, partner="acme", route=route)
        reader = world.closed()
        assert [reader.record(at)["route"] for at in range(reader.size)] == [
            "/pay",
            "/pay",
            "/pay",
            "/p\u00e4y",
        ]
        assert token.encode() not in b"".join(reader.entries(0))
