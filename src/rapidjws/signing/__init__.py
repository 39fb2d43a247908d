"""Signatures: a Signer signs octets, the serializations put them into tokens."""

from rapidjws.signing.compact import sign_compact
from rapidjws.signing.json_serialization import Signature, sign_flattened, sign_general
from rapidjws.signing.jwt import JWTBuilder
from rapidjws.signing.local_keys import FileSigner, signer_from_environment
from rapidjws.signing.presigned import PresignedPool
from rapidjws.signing.queue_meter import QueueMeter
from rapidjws.signing.signer import LocalSigner, Signer
from rapidjws.signing.signing_queue import SigningQueue

__all__ = [
    "FileSigner",
    "JWTBuilder",
    "LocalSigner",
    "PresignedPool",
    "QueueMeter",
    "Signature",
    "Signer",
    "SigningQueue",
    "sign_compact",
    "sign_flattened",
    "sign_general",
    "signer_from_environment",
]
