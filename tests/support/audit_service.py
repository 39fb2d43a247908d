"""An engine whose decisions go to a sequencer in this process, over its socket."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_trails import ORIGIN, signer, writer

from rapidjws import JWK, Engine, Issuer, JWKSet
from rapidjws.audit import ContentKeys, DecisionRecorder, NoteKey, Sequencer, SequencerClient, TrailReader
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

ISS = "https://issuer.example"


@dataclass(kw_only=True)
class Service:
    """What a test of decisions has.

    Attributes:
        folder: The trail.
        key: The issuer's key.
        engine: Decides.
        client: Sends records.
        recorder: Makes them.
        sequencer: Takes them.
    """

    folder: Path
    key: JWK
    engine: Engine
    client: SequencerClient
    recorder: DecisionRecorder
    sequencer: Sequencer
    stopping: threading.Event = field(default_factory=threading.Event)

    def token(self, **claims: Any) -> str:
        """Return a token of the issuer."""
        payload = {"iss": ISS, "aud": "me", "sub": "ann", "exp": int(time.time()) + 600, **claims}
        return sign_compact(json.dumps(payload).encode(), LocalSigner(self.key), header={"typ": "JWT"})

    def decide(self, token: str | None, **given: Any) -> Any:
        """Decide, record, and return the decision as it leaves."""
        return self.recorder.note_durably(self.engine.decide(token, **given), token)

    def closed(self) -> TrailReader:
        """Send what waits, stop the sequencer, and return a reader of the trail."""
        self.client.close()
        self.stopping.set()
        self.thread.join(60)
        return TrailReader(self.folder, log_key())

    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Start the sequencer."""
        self.thread = threading.Thread(target=self.sequencer.run, args=(self.stopping.is_set,), daemon=True)
        self.thread.start()


def log_key() -> NoteKey:
    """Return the log's key."""
    return NoteKey(ORIGIN, signer().public, "EdDSA")


@contextlib.contextmanager
def service(
    *,
    durable: bool = True,
    start: bool = True,
    issuer: Any = None,
    keys: ContentKeys | None = None,
    **settings: Any,
) -> Iterator[Service]:
    """Return an engine with a trail in a folder whose path is short enough for a socket."""
    key = make_key("ES256", kid="k1")
    rules = {"keys": JWKSet([key.public()]), "algorithms": ["ES256"], "audience": "me", **(issuer or {})}
    engine = Engine(Issuer(ISS, **rules))
    with tempfile.TemporaryDirectory(prefix="trail") as name:
        sequencer = Sequencer(writer(Path(name), durable=durable), checkpoint_s=0.05, keys=keys)
        client = SequencerClient(sequencer.path, durable=durable, flush_ms=1)
        recorder = DecisionRecorder(engine, client, **settings)
        made = Service(folder=Path(name), key=key, engine=engine, client=client, recorder=recorder,
                       sequencer=sequencer)  # fmt: skip
        if start:
            made.start()
        try:
            yield made
        finally:
            made.stopping.set()
            client.close(0.1)
            if hasattr(made, "thread"):
                made.thread.join(60)
            else:
                sequencer.close()
