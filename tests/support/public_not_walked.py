"""The public callables that the walk over wrong arguments leaves out, and why."""

from __future__ import annotations

MADE_HERE = {
    "Algorithm": "a row of the table of algorithms",
    "middleware.Answer": "made by answer_for",
    "Backends": "made by backends",
    "Buckets": "made by the list of metrics",
    "Cause": "made by diagnose",
    "Change": "made by Rollout",
    "Check": "made by diagnose",
    "Decision": "made by decide; checks that its parts agree",
    "Exemplar": "made by a reading of the metrics",
    "HistogramValue": "made by a reading of the metrics",
    "IssuingState": "made by KeyLifeCycle",
    "Lease": "made by KeyLifeCycle",
    "NewKey": "made by makers of keys; their life cycle checks it",
    "SigningKey": "made by KeyLifeCycle",
    "Metric": "made by the list of metrics",
    "Reading": "made by a reading of the metrics",
    "Sample": "made by a reading of the metrics",
    "Event": "made by what listeners listen to",
    "Gate": "made by the fixture jws_gate",
    "Header": "made by parse_header",
    "JWK": "sealed: made by from_json, from_pem, from_der, from_secret",
    "Rejected": "made by verify_many",
    "Report": "made by diagnose",
    "Request": "made by TestServer",
    "SignaturePolicy": "made by any_of, all_of, at_least, signers",
    "SignatureResult": "made by verify",
    "Skipped": "made by JWKSet",
    "SourceStatus": "made by sources",
    "Workload": "made by workload",
}
"""Classes whose values only this package makes, and how users get them: constructors that are not walked."""

CALLED_HERE = (
    "Authenticator.adecide", "Authenticator.answer", "Authenticator.begin", "Authenticator.decide",
    "Authenticator.note", "Authenticator.partner", "Authenticator.refused",
    "Authenticator.unknown_root_path", "Authenticator.wants_body",
    "DecisionLog.named_issuer", "DecisionLog.note",
    "EventLog.follow_revocations", "LogHandler.emit", "OpenTelemetryTracer.start",
    "Reading.histogram", "Reading.largest", "Reading.quantile", "Reading.samples", "Reading.total",
    "FileJWKS.subscribe", "FileJWKS.unknown_kid",
    "GuardRails.asks_for_rollback", "GuardRails.objections",
    "JWSInterceptor.intercept_service",
    "MemoryReplayStore.record",
    "MemoryState.edit", "Partner.is_allow_listed", "Partner.objection", "Partner.warning",
    "RedisReplayStore.record", "RedisRevocations.turn",
    "RemoteJWKS.clock_stepped", "RemoteJWKS.subscribe", "RemoteJWKS.unknown_kid",
    "Rollout.decide", "Rollout.defer", "Rollout.note", "Rollout.retry_at_ns",
    "Shadow.offer",
    "SignaturePolicy.is_met",
    "SignedBody.decide", "SignedBody.signature_value",
    "Stage.phase_for",
    "StateFolder.edit", "TokenCache.forget", "TokenCache.put", "TokenCache.slot",
    "TokenLocation.token",
    "assemble",
    "header_octets",
)  # fmt: skip
"""Methods of small protocols that engine, middleware and rollout call for each token or change, with what
they checked or made themselves. A check there would be paid for each token; they are not walked."""
