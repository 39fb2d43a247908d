"""For the tests of those who use rapidjws: keys, tokens, and an issuer that has both."""

from rapidjws.testing.issuer import FakeIssuer
from rapidjws.testing.keys import make_key

__all__ = ["FakeIssuer", "make_key"]
