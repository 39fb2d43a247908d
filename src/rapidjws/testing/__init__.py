"""For the tests of those who use rapidjws: keys, tokens, clocks, and issuers that behave or do not."""

from rapidjws.testing.clock import FakeClock
from rapidjws.testing.expect import assert_rejected
from rapidjws.testing.faulty_issuer import FaultyIssuerServer
from rapidjws.testing.issuer import FakeIssuer
from rapidjws.testing.keys import make_key
from rapidjws.testing.web import Fault, Request, TestServer

__all__ = [
    "FakeClock",
    "FakeIssuer",
    "Fault",
    "FaultyIssuerServer",
    "Request",
    "TestServer",
    "assert_rejected",
    "make_key",
]
