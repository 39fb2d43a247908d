"""Keys of an issuer: their life cycle, where its state is kept, and how they are published."""

from rapidjws.issuing.active_signer import ActiveSigner, SignatureAudit, SignatureRecord
from rapidjws.issuing.announcement import Announcer, Confirmations, Consumer
from rapidjws.issuing.asgi import PublicationApp
from rapidjws.issuing.emergency import EmergencyReport, EmergencyStage, rotate_in_emergency
from rapidjws.issuing.emergency_log import EmergencyLog, EmergencyRecord
from rapidjws.issuing.gateway_certificate import GatewayCertificate
from rapidjws.issuing.key_copy import KeySetCopy
from rapidjws.issuing.key_maker import KeyMaker, LocalKeyMaker, NewKey
from rapidjws.issuing.kms_key_maker import AwsKmsKeyMaker
from rapidjws.issuing.life_cycle import KeyLifeCycle
from rapidjws.issuing.pkcs11_key_maker import Pkcs11KeyMaker
from rapidjws.issuing.publication import Document, Publication
from rapidjws.issuing.s3_copy import CloudFrontInvalidation, S3Copy
from rapidjws.issuing.schedule import FreezeWindow, Schedule
from rapidjws.issuing.signature_log import SignatureLog
from rapidjws.issuing.signing_request import SigningClient
from rapidjws.issuing.signing_service import SigningService
from rapidjws.issuing.state import IssuingState, Lease, SigningKey
from rapidjws.issuing.store import MemoryStateStore, StateStore
from rapidjws.issuing.store_file import FileStateStore
from rapidjws.issuing.store_redis import RedisStateStore
from rapidjws.issuing.timing import KeyTiming
from rapidjws.issuing.token_clients import TokenClient
from rapidjws.issuing.token_service import TokenService

__all__ = [
    "ActiveSigner",
    "Announcer",
    "AwsKmsKeyMaker",
    "CloudFrontInvalidation",
    "Confirmations",
    "Consumer",
    "Document",
    "EmergencyLog",
    "EmergencyRecord",
    "EmergencyReport",
    "EmergencyStage",
    "FileStateStore",
    "FreezeWindow",
    "GatewayCertificate",
    "IssuingState",
    "KeyLifeCycle",
    "KeyMaker",
    "KeySetCopy",
    "KeyTiming",
    "Lease",
    "LocalKeyMaker",
    "MemoryStateStore",
    "NewKey",
    "Pkcs11KeyMaker",
    "Publication",
    "PublicationApp",
    "RedisStateStore",
    "S3Copy",
    "Schedule",
    "SignatureAudit",
    "SignatureLog",
    "SignatureRecord",
    "SigningClient",
    "SigningKey",
    "SigningService",
    "StateStore",
    "TokenClient",
    "TokenService",
    "rotate_in_emergency",
]
