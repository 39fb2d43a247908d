"""Load shedding of the sidecar: what there is no time for is answered 503 at once, partner by partner."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from rollouts import ISSUER, OTHER, engine, rollout

from rapidjws.observe.metric_list import REQUESTS_SHED
from rapidjws.observe.recorder import name_of
from rapidjws.sidecar.overload import SHED
from rapidjws.testing import FakeIssuer
from rapidjws.verify.counter_memory import private_region

pytest.importorskip("httptools", reason="the extra `server` is not installed")

Made = list[tuple["Connection", str]]


class Connection:
    """What a worker answers to: it notes each answer."""

    target_of = staticmethod(lambda rest: None)

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.ended = 0
        self.octets = b""

    def write(self, octets: bytes, *, keep: bool) -> None:
        """Take a reply."""
        self.octets += octets
        self.answers.append(octets.split(b" ", 2)[1].decode())

    def answer_decision(self, state: Any, decision: Any, request: Any, _: Any) -> None:
        """Write the reply."""
        self.write(state.replies.reply(decision, request[2]), keep=True)

    def send_away(self, _: Any) -> None:
        """Write that a request is sent away."""
        self.write(SHED, keep=True)

    def answer_other(self, *request: Any) -> None:
        """Take the answer to another path."""
        self.answers.append("other")

    def hang_up(self, status: int) -> None:
        """Take a bare status."""
        self.answers.append(str(status))

    def close(self) -> None:
        """Close."""

    def answered(self) -> None:
        """Note the end of a request."""
        self.ended += 1


def listener(phase: str = "enforcement", **settings: Any) -> Any:
    """Return a public listener."""
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.protocol import PublicListener
    from rapidjws.sidecar.settings import ServerSettings

    policy, bus = rollout(phase=phase), ChangeBus(1)
    app = SidecarApp(engine=engine(policy), rollout=policy)
    made = PublicListener(app, ServerSettings(**settings), bus, index=0, seen=bus.counters())
    made.lines = []
    made.print_line = made.lines.append
    made.region = private_region(1024 * 1024)
    app.recorder.attach(made.region)
    return made


@pytest.fixture(name="public")
def _public(request: Any) -> Iterator[Any]:
    made = listener(**getattr(request, "param", {}))
    yield made
    made.change_bus.close()


def token(issuer: FakeIssuer = ISSUER) -> bytes:
    """Return a token that is good now."""
    return issuer.token(issuer.claims(int(time.time()))).encode()


def ask(public: Any, one: bytes, connection: Connection | None = None, **fields: bytes) -> Connection:
    """Have a request wait for the end of the turn."""
    headers = [(b"authorization", b"Bearer " + one)]
    headers += [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
    found = connection or Connection()
    public._batch.append((found, b"", (b"/verify", headers, b"GET", b"", True)))
    return found


def test_what_there_is_no_time_for_is_answered_at_once(public: Any) -> None:
    """Beyond the limit each request gets one 503 with Retry-After, and it is counted and said once."""
    public.shedder.limit = 20
    one = token()
    made = [ask(public, one) for _ in range(50)]
    public.flush()
    assert [(len(each.answers), each.ended) for each in made] == [(1, 1)] * 50
    assert [each.answers[0] for each in made] == ["200"] * 20 + ["503"] * 30
    assert b"\r\nretry-after: 1\r\n" in made[-1].octets
    assert b"x-jws" not in made[-1].octets
    (series,) = (one for one in public.region.series() if one.name == name_of(REQUESTS_SHED))
    assert public.region.words[series.word] == 30
    assert len(public.lines) == 1
    assert "max_delay_s = 0.05" in public.lines[0]
    for _ in range(50):
        ask(public, one)
    public.flush()
    assert len(public.lines) == 1


def test_T11_what_stands_at_a_bound_of_shedding(public: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the least number the order stays, at the most all senders are kept, and a minute later is a line."""
    from rapidjws.sidecar import overload

    shedder = public.shedder
    fields = [[(b"authorization", b"Bearer %d.x.y" % (number > 1))] for number in range(4)]
    batch = [(Connection(), b"", (b"/verify", one, b"GET", b"", True)) for one in fields]
    shedder._known, shedder._least = {b"0", b"1"}, 4
    assert shedder.admitted(batch) == (batch, [])
    shedder._least = 3
    assert shedder.admitted(batch)[0] == [batch[0], batch[2], batch[1], batch[3]]
    monkeypatch.setattr(overload, "SENDERS_MAX", 3)
    good = type("Good", (), {"verified": object()})()
    for number in range(3):
        row = (Connection(), b"", (b"/verify", [(b"authorization", b"Bearer %d.x.y" % number)]))
        shedder.note_good([row], [good])
    assert shedder._known == {b"0", b"1", b"2"}
    shedder.note_good([(Connection(), b"", (b"/verify", [(b"authorization", b"Bearer 3.x.y")]))], [good])
    assert shedder._known == {b"3"}
    for now_s, lines in ((0.0, 1), (59.9, 1), (60.0, 2), (119.9, 2)):
        monkeypatch.setattr(overload, "monotonic", lambda now_s=now_s: now_s)
        shedder.send_away(batch)
        assert len(public.lines) == lines


def test_a_few_requests_are_always_decided(public: Any) -> None:
    """However slow a worker is, sixteen requests of a turn are decided."""
    for _ in range(10):
        public.shedder.took(16, 1000.0)
    assert public.shedder.limit == 16
    one = token()
    made = [ask(public, one) for _ in range(16)]
    public.flush()
    assert [each.answers for each in made] == [["200"]] * 16


def test_the_limit_follows_what_requests_cost(public: Any) -> None:
    """The limit is how many requests the time suffices for; a turn that stood still once changes nothing."""
    shedder = public.shedder
    for _ in range(4):
        shedder.took(100, 0.01)
    assert shedder.limit is None
    shedder.took(100, 0.01)
    assert shedder.limit == pytest.approx(500, abs=1)
    shedder.took(100, 60.0)
    for _ in range(8):
        shedder.took(1, 60.0)
    assert shedder.limit == pytest.approx(500, abs=1)
    for _ in range(15):
        shedder.took(100, 0.1)
    assert shedder.limit == pytest.approx(50, abs=1)


@pytest.mark.parametrize("public", [{"max_delay_s": 0}], indirect=True)
def test_without_a_limit_all_are_decided(public: Any) -> None:
    """``max_delay_s = 0`` sends nobody away."""
    for _ in range(20):
        public.shedder.took(100, 60.0)
    assert public.shedder.limit is None


@pytest.mark.parametrize("public", [{"phase": "detection"}], indirect=True)
def test_where_nothing_is_refused_nobody_is_sent_away(public: Any) -> None:
    """In detection everywhere a request passes whatever its token is, and so it does under load."""
    public.shedder.limit = 16
    made = [ask(public, b"a.b.c") for _ in range(40)]
    public.flush()
    assert {each.answers[0] for each in made} == {"200"}
    public.rollout.promote(by="test", to="warning", force=True)
    made = [ask(public, b"a.b.c") for _ in range(40)]
    public.flush()
    assert {each.answers[0] for each in made} == {"200", "503"}


@pytest.mark.parametrize("public", [{"partner_header": "x-partner"}], indirect=True)
def test_a_flood_of_one_partner_is_that_partners(public: Any) -> None:
    """Where one partner sends more than all others, the others are decided, and before its own rest."""
    public.shedder.limit = 32
    one = token()
    flood = [ask(public, b"a.b.c", x_partner=b"flood") for _ in range(500)]
    others = [ask(public, one, x_partner=b"p%d" % (n % 3)) for n in range(15)]
    public.flush()
    assert [each.answers for each in others] == [["200"]] * 15
    assert sum(each.answers == ["401"] for each in flood) == 32 - 15
    assert sum(each.answers == ["503"] for each in flood) == 500 - 17


def test_a_flood_without_partners_is_told_by_headers_of_good_tokens(public: Any) -> None:
    """Without a partner's header, tokens like those that were good before do not wait behind made up ones."""
    others = [token(OTHER), token()]
    for one in others:
        ask(public, one)
        public.flush()
    public.shedder.limit = 16
    flood = [ask(public, b"%d.b.c" % n) for n in range(500)]
    made = [ask(public, one) for one in others * 2]
    public.flush()
    assert [each.answers for each in made] == [["200"]] * 4
    assert sum(each.answers == ["503"] for each in flood) == 500 - 12


@pytest.mark.parametrize("public", [{"partner_header": "x-partner"}], indirect=True)
def test_a_connection_gets_its_answers_in_order(public: Any) -> None:
    """Whose turn it is changes nothing in the order of one connection, and other paths are answered."""
    public.shedder.limit = 20
    one = token()
    pipelined = Connection()
    for _ in range(30):
        ask(public, b"a.b.c", x_partner=b"flood")
    for n in range(12):
        ask(public, one if n % 2 else b"a.b.c", pipelined, x_partner=b"flood" if n % 3 else b"p%d" % n)
    public._batch.append((pipelined, None, (b"/healthz", [], b"GET", b"", True)))
    public.flush()
    assert pipelined.ended == 13
    decided = [answer for answer in pipelined.answers if answer not in ("503", "other")]
    assert decided == ["401", "200"] * (len(decided) // 2) + ["401"] * (len(decided) % 2)
    assert pipelined.answers == [*decided, *["503"] * (12 - len(decided)), "other"]
    assert 0 < len(decided) < 12


def test_a_fault_in_the_order_decides_all(public: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the order cannot be found, all are decided as they came."""
    monkeypatch.setattr(type(public.shedder), "_in_order", lambda *_: 1 // 0)
    public.shedder.limit = 16
    one = token()
    made = [ask(public, one) for _ in range(40)]
    public.flush()
    assert [each.answers for each in made] == [["200"]] * 40


class Loop:
    """An event loop that keeps its callbacks, or refuses them."""

    def __init__(self, *, refuses: bool = False) -> None:
        self._refuses = refuses
        self.callbacks: list[Any] = []

    def call_soon(self, callback: Any) -> object:
        """Take a callback, or raise."""
        if self._refuses:
            raise MemoryError
        self.callbacks.append(callback)
        return callback


@pytest.mark.parametrize("public", [{"partner_header": "X-Partner"}], indirect=True)
def test_who_sends_little_overtakes_the_rest_of_a_turn(public: Any, monkeypatch: Any) -> None:
    """What a slice of time leaves over is decided with what came meanwhile, senders in turn, each once."""
    monkeypatch.setattr("rapidjws.sidecar.request_batch.SLICE_NS", 0)
    one, loop = token(), Loop()
    loud = [ask(public, one, x_partner=b"loud") for _ in range(40)]
    public.turn(loop)
    assert [len(each.answers) for each in loud] == [1] * 16 + [0] * 24
    quiet = ask(public, one, x_partner=b"quiet")
    (callback,) = loop.callbacks
    callback()
    assert (quiet.answers, quiet.ended) == (["200"], 1)
    assert [len(each.answers) for each in loud] == [1] * 31 + [0] * 9
    loop.callbacks[1]()
    assert len(loop.callbacks) == 2
    assert [(each.answers, each.ended) for each in loud] == [(["200"], 1)] * 40


def test_a_turn_that_refuses_most_ends_after_few(public: Any, monkeypatch: Any) -> None:
    """After a call that refused most, a turn is one call of eight; half is not most, and good ones end it."""
    monkeypatch.setattr("rapidjws.sidecar.request_batch.SLICE_NS", 10**12)
    public.slice_ns, public.shedder._max_delay_s = 10**12, 1e9  # however slow the machine is
    good, loop = token(), Loop()
    forged = good.rpartition(b".")[0] + b"." + b"A" * 86
    for _ in range(8):
        ask(public, forged)
        ask(public, good)
    public.turn(loop)
    made = [ask(public, forged) for _ in range(40)]
    public.turn(loop)
    assert [len(each.answers) for each in made] == [1] * 16 + [0] * 24
    for decided, callback in enumerate(range(3), 3):
        assert len(loop.callbacks) == callback + 1
        loop.callbacks[callback]()
        assert sum(each.ended for each in made) == 8 * decided
    assert [(each.answers, each.ended) for each in made] == [(["401"], 1)] * 40
    assert len(public.shedder._costs_s) == 5
    made = [ask(public, good) for _ in range(40)]
    public.turn(loop)
    assert len(loop.callbacks) == 3
    assert [(each.answers, each.ended) for each in made] == [(["200"], 1)] * 40


def test_a_turn_that_cannot_be_planned_decides_all(public: Any, monkeypatch: Any) -> None:
    """Where the loop takes no callback, and where a connection ends, nothing is left for later."""
    monkeypatch.setattr("rapidjws.sidecar.request_batch.SLICE_NS", 0)
    one = token()
    for decide in (lambda: public.turn(Loop(refuses=True)), public.flush):
        made = [ask(public, one) for _ in range(40)]
        decide()
        assert [(each.answers, each.ended) for each in made] == [(["200"], 1)] * 40


def test_headers_of_refused_tokens_are_known_as_nobodys(public: Any) -> None:
    """A token that was refused makes its header no sender of its own: the flood stays one sender."""
    forged = token().rpartition(b".")[0] + b"." + b"A" * 86
    for at in range(20):
        ask(public, b"%d" % at + forged)
    ask(public, forged)
    public.flush()
    assert public.shedder._known == set()
    ask(public, token())
    public.flush()
    assert public.shedder._known == {token().partition(b".")[0]}


class _Broken(Connection):
    """A connection that cannot be written to."""

    def send_away(self, _: Any) -> None:
        """Raise."""
        raise OSError


def test_a_connection_that_is_broken_costs_the_next_no_answer(public: Any) -> None:
    """Those sent away after it have their 503, and each request its end."""
    public.shedder.limit = 16
    one = token()
    for _ in range(16):
        ask(public, one)
    broken, last = ask(public, one, _Broken()), ask(public, one)
    public.flush()
    assert (broken.answers, broken.ended) == ([], 1)
    assert (last.answers, last.ended) == (["503"], 1)
