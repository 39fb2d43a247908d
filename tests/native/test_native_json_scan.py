"""The json_scan code rule by rule: each refusal, each limit, the members it lists, what it promises."""

from __future__ import annotations

import os

from json_scanner import (
    ARRAY,
    BAD_ARGUMENT,
    BUILDS,
    DECIMAL,
    DUPLICATE,
    FALSE,
    INTEGER,
    MALFORMED,
    NO_MEMORY,
    NULL,
    OBJECT,
    OK,
    STRING,
    TOO_DEEP,
    TOO_LARGE,
    TOO_MANY,
    TRUE,
    scan,
)
from native_drivers import compile_driver, run_driver

REFUSED = [
    (b"", 0, "no value"),
    (b"   ", 3, "no value but space"),
    (b"\xef\xbb\xbf{}", 0, "byte order mark"),
    (b"{}{}", 2, "two values"),
    (b"{} x", 3, "something behind the value"),
    (b"\x0b{}", 0, "vertical tab as space"),
    (b"{\xc2\xa0}", 1, "no-break space as space"),
    (b"{a:1}", 1, "name without quotes"),
    (b'{"a" 1}', 5, "no colon"),
    (b'{"a":}', 5, "no value behind the colon"),
    (b'{"a":1,}', 7, "comma before the brace"),
    (b"[1,]", 3, "comma before the bracket"),
    (b"[,1]", 1, "comma first"),
    (b"[1 2]", 3, "no comma"),
    (b"[1}", 2, "closed by the other bracket"),
    (b'{"a":1]', 6, "closed by the other brace"),
    (b'{"a":1', 6, "never closed"),
    (b"[1]]", 3, "closed twice"),
    (b"]", 0, "closed before it opened"),
    (b'["a', 3, "string never closed"),
    (b'["a\x1f"]', 3, "control character in a string"),
    (b'["a\n"]', 3, "line feed in a string"),
    (b'["\\x"]', 2, "unknown escape"),
    (b'["\\"]', 5, "escaped closing quote"),
    (b'["\\', 2, "escape cut off"),
    (b'["\\u12', 2, "hex cut off"),
    (b'["\\u12g4"]', 2, "not hex"),
    (b'["\\ud800"]', 2, "high surrogate alone"),
    (b'["\\udc00"]', 2, "low surrogate alone"),
    (b'["\\ud800\\u0041"]', 2, "high surrogate before a letter"),
    (b'["\\ud800\\ud800"]', 2, "two high surrogates"),
    (b'["\\ud800xxdc00"]', 2, "second surrogate without its escape"),
    (b'["\x80"]', 2, "continuation byte alone"),
    (b'["\xc3"]', 2, "UTF-8 cut off by the quote"),
    (b'["\xc1\x81"]', 2, "overlong, two bytes"),
    (b'["\xe0\x9f\xbf"]', 2, "overlong, three bytes"),
    (b'["\xf0\x8f\xbf\xbf"]', 2, "overlong, four bytes"),
    (b'["\xed\xa0\x80"]', 2, "surrogate in UTF-8"),
    (b'["\xf4\x90\x80\x80"]', 2, "past U+10FFFF"),
    (b'["\xf5\x80\x80\x80"]', 2, "a first byte that never is"),
    (b'["\xe2\x82"]', 2, "third byte missing"),
    (b'["\xf0\x9f\x98"]', 2, "fourth byte missing"),
    (b"[01]", 1, "leading zero"),
    (b"[-]", 2, "sign alone"),
    (b"[-01]", 2, "leading zero behind the sign"),
    (b"[+1]", 1, "plus sign"),
    (b"[.5]", 1, "no digit before the point"),
    (b"[1.]", 3, "no digit behind the point"),
    (b"[1e]", 3, "no digit in the exponent"),
    (b"[1e+]", 4, "no digit behind the exponent's sign"),
    (b"[0x1]", 2, "hex number"),
    (b"[1e309]", 1, "too large for a double"),
    (b"[-1e309]", 1, "too large for a double, negative"),
    (b"[1" + b"0" * 309 + b"]", 1, "an integer too large for a double"),
    (b"[True]", 1, "capital letter"),
    (b"[truf]", 1, "not quite true"),
    (b"[nul", 1, "null cut off"),
    (b"[falsey]", 6, "more than false"),
    (b"[NaN]", 1, "not a number"),
    (b"[Infinity]", 1, "infinity by name"),
    (b"['a']", 1, "single quotes"),
    (b"[/**/1]", 1, "comment"),
]


@BUILDS
def test_each_fault_is_refused_at_its_place(build: dict[str, bool]) -> None:
    """Every rule of RFC 8259, RFC 3629 and RFC 7493 has a text that breaks it alone, refused there."""
    reports = scan([text for text, _, _ in REFUSED], build=build)
    assert {why: (r.status, r.fault) for r, (_, _, why) in zip(reports, REFUSED, strict=True)} == {
        why: (MALFORMED, fault) for _, fault, why in REFUSED
    }


ACCEPTED = [
    (b"{}", OBJECT),
    (b" \t\r\n{ } \t\r\n", OBJECT),
    (b"[]", ARRAY),
    (b'""', STRING),
    (b"0", INTEGER),
    (b"-0", INTEGER),
    (b"-0.0E+00", DECIMAL),
    (b"1e308", DECIMAL),
    (b"0e999999999999999999999", DECIMAL),
    (b"0.000e999999999999999999999", DECIMAL),
    (b"1e-999999999999999999999", DECIMAL),
    (b"true", TRUE),
    (b"false", FALSE),
    (b"null", NULL),
    (b'"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\uDE00\\uFFFF"', STRING),
    (
        b'"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"',
        STRING,
    ),
    (b'{"":0,"a":{"a":[{"a":1},{"a":2}]},"A":1}', OBJECT),
]


@BUILDS
def test_the_edges_of_the_grammar_are_accepted(build: dict[str, bool]) -> None:
    """What lies just inside the rules passes, and the root's type is named."""
    reports = scan([text for text, _ in ACCEPTED], build=build)
    assert [(r.status, r.root) for r in reports] == [(OK, root) for _, root in ACCEPTED]


@BUILDS
def test_every_length_of_string_and_number_ends_where_it_should(build: dict[str, bool]) -> None:
    """A quote, a bad byte or a letter is found at every distance from the start and the end of a text."""
    texts, expected = [], []
    for length in range(70):
        for tail in (b'"]', b'" ]' + b" " * 40):
            texts += [b'["' + b"x" * length + tail, b'["' + b"x" * length + b"\x1f" + tail]
            expected += [(OK, 0), (MALFORMED, 2 + length)]
            texts += [b'["' + b"x" * length + b"\\n" + tail, b'["' + b"x" * length + b"\xff" + tail]
            expected += [(OK, 0), (MALFORMED, 2 + length)]
            texts += [b"[1" + b"0" * length + tail[1:], b"[1" + b"0" * length + b"a" + tail[1:]]
            expected += [(OK, 0), (MALFORMED, 2 + length)]
    assert [(r.status, r.fault) for r in scan(texts, build=build)] == expected


@BUILDS
def test_names_are_compared_as_decoded(build: dict[str, bool]) -> None:
    """A name twice in one object is refused however it is written, at any depth; in two objects it is not."""
    twice = [
        b'{"a":1,"a":2}',
        b'{"a":1,"b":2,"\\u0061":3}',
        b'{"\\u0061":1,"a":2}',
        b'{"\\u0061":1,"\\u0061":2}',
        b'{"\\n":1,"\\u000a":2}',
        b'{"\\/":1,"/":2}',
        b'{"\\"":1,"\\u0022":2}',
        b'{"\\b\\f\\r\\t\\\\":1,"\\u0008\\u000c\\u000d\\u0009\\u005C":2}',
        b'{"\\u00e9":1,"\xc3\xa9":2}',
        b'{"\\u20ac":1,"\xe2\x82\xac":2}',
        b'{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}',
        b'{"":1,"":2}',
        b'[[{"x":{"a":[],"a":{}}}]]',
        b'{"a":{"b":1},"c":[{"a":1}],"a":2}',
        b'{"a_long_name_of_more_than_16_bytes":1,"a_long_name_of_more_than_16_bytes":2}',
        *(
            b"{" + b",".join(b'"n%d":0' % i for i in range(count)) + b',"n%d":1}' % again
            for count in (1, 2, 31, 63, 64, 65, 66, 200)
            for again in {0, count // 2, count - 1}
        ),
    ]
    once = [
        b'{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
        b'{"a":1,"A":2,"aa":3,"":4,"a ":5,"\\u0061a\\u0061":6}',
        b'{"\\u0061":1,"b":2}',
        b'{"abcdefgh":1,"abcdefgi":2,"abcdefghabcdefgh":3,"abcdefgiabcdefgh":4,"abcdefghabcdefgi":5}',
        *(
            b"{" + b",".join(b'"n%d":0' % i for i in range(count)) + b"}"
            for count in (1, 63, 64, 65, 66, 500)
        ),
    ]
    assert {r.status for r in scan(twice, build=build)} == {DUPLICATE}
    assert {r.status for r in scan(once, build=build)} == {OK}
    (report,) = scan([b'{"a":1,"b":2,"\\u0061":3}'], build=build)
    assert report.fault == 13


def test_one_hash_for_all_names_costs_no_more_than_a_log_factor() -> None:
    """Twenty thousand names with one hash are told apart in a blink: the hash decides nothing."""
    status, seconds = run_driver(
        compile_driver("drive_json_scan", ("json_scan",)), "collide", "20000"
    ).split()
    assert int(status) == OK
    assert float(seconds) < 0.5


@BUILDS
def test_limits_hold_to_the_unit(build: dict[str, bool]) -> None:
    """Each limit lets its own value pass and refuses one more."""

    def status(text: bytes, **limits: int) -> tuple[int, int]:
        (report,) = scan([text], build=build, **limits)
        return report.status, report.fault

    assert status(b'{"a":1}', max_bytes=7) == (OK, 0)
    assert status(b'{"a":1}', max_bytes=6) == (TOO_LARGE, 0)
    assert status(b"\xff" * 100, max_bytes=99) == (TOO_LARGE, 0)
    assert status(b"[[[]]]", max_depth=3) == (OK, 0)
    assert status(b"[[[]]]", max_depth=2) == (TOO_DEEP, 2)
    assert status(b'{"a":[{}]}', max_depth=2) == (TOO_DEEP, 6)
    assert status(b"[[],[],{}]", max_depth=2) == (OK, 0)
    assert status(b"0", max_depth=0) == (OK, 0)
    assert status(b"[" * 512 + b"]" * 512) == (OK, 0)
    assert status(b"[" * 513 + b"]" * 513) == (TOO_DEEP, 512)
    assert status(b"{}", max_depth=513) == (BAD_ARGUMENT, 0)
    assert status(b'{"a":1,"b":2}', max_members=2) == (OK, 0)
    assert status(b'{"a":1,"b":2}', max_members=1) == (TOO_MANY, 7)
    assert status(b'{"a":{"a":1},"b":{"b":2}}', max_members=2) == (OK, 0)
    assert status(b'{"x":[{"a":1,"b":2,"c":3}]}', max_members=2) == (TOO_MANY, 19)


def test_the_root_is_an_object_unless_told_otherwise() -> None:
    """A root of another type is refused as malformed where an object is due."""
    texts = [b"{}", b"[]", b'"a"', b"1", b"null", b" [1]"]
    strict = scan(texts, flags=0)
    assert [(r.status, r.fault) for r in strict] == [(OK, 0), *[(MALFORMED, 0)] * 4, (MALFORMED, 1)]
    assert {r.status for r in scan(texts)} == {OK}


@BUILDS
def test_the_work_area_may_be_small_but_never_lies(build: dict[str, bool]) -> None:
    """Too small a work area is RJ_NO_MEMORY, never another verdict; the computed one always suffices."""
    texts = [
        b'{"a":1,"b":{"c":[{}]}}',
        b'{"\\u0061":1,"bbbbbbbbbbbbbbbbbbbbbbbbbbbb\\n":2}',
        b'{"a":1,"a":1}',
        b'{"":{"":{"":{"":{"":{"":{"":{"":{}}}}}}}}}',
        b"{" + b",".join(b'"%x":0' % i for i in range(300)) + b"}",
        b'{"":0' + b',"' * 5,
    ]
    whole = [r.status for r in scan(texts, build=build)]
    assert whole == [OK, OK, DUPLICATE, OK, OK, MALFORMED]
    seen = set()
    for work_bytes in [*range(200), 4000]:
        small = [r.status for r in scan(texts, work_bytes=work_bytes, build=build)]
        assert all(a in (b, NO_MEMORY) for a, b in zip(small, whole, strict=True))
        seen |= set(small)
    assert seen == {OK, DUPLICATE, NO_MEMORY, MALFORMED}


def test_members_of_the_root_are_listed_as_written() -> None:
    """Names, values, types and escape flags point into the text; what does not fit is owned up to."""
    text = (
        b' { "iss" : "https:\\/\\/i" , "n\\u0061me":"x","o":{"in":[1,{"n":"\\n"}]},'
        b'"a":[ ],"i":-12,"d":1.5 ,"e":1E2,"t":true,"f":false,"z":null,"":""} '
    )
    (report,) = scan([text])
    assert report.status == OK
    assert [
        (m.name, m.value, m.value_type, m.name_has_escape, m.value_has_escape) for m in report.members
    ] == [
        (b"iss", b'"https:\\/\\/i"', STRING, False, True),
        (b"n\\u0061me", b'"x"', STRING, True, False),
        (b"o", b'{"in":[1,{"n":"\\n"}]}', OBJECT, False, False),
        (b"a", b"[ ]", ARRAY, False, False),
        (b"i", b"-12", INTEGER, False, False),
        (b"d", b"1.5", DECIMAL, False, False),
        (b"e", b"1E2", DECIMAL, False, False),
        (b"t", b"true", TRUE, False, False),
        (b"f", b"false", FALSE, False, False),
        (b"z", b"null", NULL, False, False),
        (b"", b'""', STRING, False, False),
    ]
    assert not report.overflow
    (report,) = scan([text], members_cap=10)
    assert (report.overflow, len(report.members)) == (True, 10)
    (report,) = scan([text], members_cap=11)
    assert (report.overflow, len(report.members)) == (False, 11)
    (report,) = scan([text], members_cap=0)
    assert (report.status, report.overflow, len(report.members)) == (OK, True, 0)
    (report,) = scan([b'[{"a":1}]'])
    assert (report.status, report.overflow, len(report.members)) == (OK, False, 0)


def test_numbers_that_change_in_other_hands_are_flagged() -> None:
    """Decimals are named, and integers outside -2^63 .. 2^64-1, which orjson would round."""
    big = [2**64, 2**64 + 1, 10**20, 10**300, -(2**63) - 1, -(10**19), -(2**64)]
    plain = [0, 9, 2**63 - 1, 2**63, 2**64 - 1, 10**19, -(2**63), -(10**18), -1]
    assert [r.big for r in scan([b"[%d]" % n for n in big + plain])] == [True] * len(big) + [False] * len(
        plain
    )
    assert [r.decimal for r in scan([b"[1.0]", b"[1e0]", b"[1]", b'["1.0"]'])] == [True, True, False, False]


def test_random_mutants_never_break_a_promise() -> None:
    """Under ASan and UBSan, mutated texts never make the scan break what its header states."""
    program = compile_driver("drive_json_scan", ("json_scan",), sanitized=True)
    printed = run_driver(program, "mutate", os.environ.get("RAPIDJWS_FUZZ_SECONDS", "3"), "1")
    assert int(printed.split()[0]) > 1000
