"""Fresh keys for tests and demonstrations."""

from __future__ import annotations

from rapidjws.signing.new_key import RSA_BITS as RSA_BITS
from rapidjws.signing.new_key import make_key as make_key
