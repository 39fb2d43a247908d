"""For the tests of those who use rapidjws: keys, tokens, clocks, and issuers that behave or do not."""

from rapidjws.testing.clock import FakeClock
from rapidjws.testing.expect import assert_rejected
from rapidjws.testing.issuer import FakeIssuer
from rapidjws.testing.keys import make_key
from rapidjws.testing.misbehaving import Issuer
from rapidjws.testing.web import Fault, Request, TrialServer

__all__ = [
    "FakeClock",
    "FakeIssuer",
    "Fault",
    "Issuer",
    "Request",
    "TrialServer",
    "assert_rejected",
    "make_key",
]
