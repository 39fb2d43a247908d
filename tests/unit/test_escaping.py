"""Foreign text in each medium: nothing that a terminal, page, shell, mail or log obeys is left (S26)."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys

import pytest

from rapidjws import escaping

HOSTILE = {
    "escape": "\x1b[31mred\x1b]0;title\x07\x1b]8;;https://evil.example\x07link",
    "c1": "\x9b31m\x90q\x9c",
    "newlines": "a\nb\r\nc\x0bd\x0ce\x85f\u2028g\u2029h",
    "bidi": "a\u202eb\u2066c\u2069d\u200fe\u061cf",
    "invisible": "a\u200bb\u2060c\ufeffd\u00ade\U000e0041f",
    "surrogate": "a\ud800b\udfffc",
    "html": "<script>alert('x')</script><img src=x onerror=\"y\">&amp;&#60;",
    "markdown": "[link](https://evil.example) ![i](https://e.example/x) `code` **b** | cell <b> # h ~~s~~",
    "autolink": "https://evil.example www.evil.example mail@evil.example",
    "shell": "$(id) `id` ; rm -rf / && x | y > z ' \" \\ * ? {a,b} !h",
    "nul": "a\0b",
    "huge": "x" * 100_000,
    "rich": "[bold red]x[/] [link=https://evil.example]y[/link]",
    "tag": "a\tb",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_S26_one_bounded_printable_line(name: str) -> None:
    """Terminal, mail and log text is one line of printable characters, within its bound."""
    for make in (
        escaping.terminal,
        escaping.mail_header,
        escaping.markdown,
        escaping.html,
        escaping.log_value,
    ):
        text = make(HOSTILE[name])
        assert text.isprintable(), make
        assert len(text) < 16 * escaping.SHOWN_MAX_CHARS
    assert len(escaping.terminal(HOSTILE[name], 10)) <= 10 * 10 + 30


def test_S26_escapes_say_what_stood_there() -> None:
    """An escape names the code point; ordinary text, letters of any script among them, stays as it is."""
    assert escaping.terminal("a\x1bb\u202ec\U000e0041") == "a\\u001bb\\u202ec\\U000e0041"
    assert escaping.terminal("Jürgen 李 ok") == "Jürgen 李 ok"
    assert escaping.terminal("x" * 400).endswith("... (400 characters)")
    assert escaping.terminal("x" * 300) == "x" * 300
    assert escaping.terminal(None) == "None"
    assert escaping.terminal_lines("a\nb\x1b") == "a\nb\\u001b"


def test_S26_html_is_text() -> None:
    """No tag, attribute end or entity of a stranger is left; the text reads as it was."""
    for text in HOSTILE.values():
        made = escaping.html(text)
        assert not re.search(r"[<>\"']", made)
        assert html.unescape(made) == escaping.printable(text, 4000)


def test_S26_markdown_has_no_markup() -> None:
    """Every character that begins markup is escaped, and no address links itself."""
    for text in HOSTILE.values():
        made = escaping.markdown(text)
        assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|&~@]", re.sub(r"\\.", "", made)), made
        assert "://" not in made
        assert "www.e" not in made
    assert escaping.markdown("# x") == "\\# x"
    assert escaping.markdown("a\\`b") == "a\\\\\\`b"


def test_S26_shell_words_are_words() -> None:
    """A shell reads back the very text as one word; what a terminal obeys is refused."""
    for name, text in HOSTILE.items():
        if not text.isprintable() or name == "huge":
            if not text.isprintable():
                with pytest.raises(ValueError, match="printable"):
                    escaping.shell_word(text)
            continue
        script = f"printf %s {escaping.shell_word(text)}"
        answer = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=True)
        assert answer.stdout.decode() == text
    assert sys.platform


@pytest.mark.parametrize(
    "text", ["../../etc/passwd", "-rf", ".hidden", "", "a/b\\c:d", "\0", "..", "x" * 300, "é"]
)
def test_S26_file_names_stay_in_their_folder(text: str) -> None:
    """A file name has no separator, no leading dot or dash, is not empty and not long."""
    made = escaping.file_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", made)
    assert len(made) <= escaping.FILE_NAME_MAX_CHARS


def test_S26_headers_and_logs_are_ascii() -> None:
    """A field value is visible ASCII without loss; a log value stays one value."""
    from urllib.parse import unquote

    for text in HOSTILE.values():
        made = escaping.header_value(text)
        assert re.fullmatch(r"[\x21-\x7e]*", made)
        if len(text) < 1000 and "\ud800" not in text:
            assert unquote(made) == text
        logged = escaping.log_value(text)
        assert logged.isascii()
        assert re.fullmatch(r'[A-Za-z0-9._:/@+-]+|"(?:[^"\\]|\\.)*"', logged)
    assert escaping.log_value("kid-1") == "kid-1"


def test_S26_metric_labels_end_where_they_should() -> None:
    """A label's value read back is the text, with no escape that the text formats do not know."""
    known = {"n": "\n", '"': '"', "\\": "\\"}
    for text in HOSTILE.values():
        made = escaping.metric_label(text)
        assert re.fullmatch(r'(?:[^"\\\n]|\\["\\n])*', made)
        back = re.sub(r"\\(.)", lambda match: known[match[1]], made)
        assert back == text.encode("utf-8", "backslashreplace").decode()


def test_S26_json_stays_the_same_value() -> None:
    """JSON for a terminal has nothing left that one obeys, and reads back as it was."""
    for text in HOSTILE.values():
        for value in (text, {text: [text]}):
            if "\ud800" in text:
                continue
            made = escaping.json_text(json.dumps(value, ensure_ascii=False))
            assert made.isprintable()
            assert json.loads(made) == value
    assert escaping.json_text('{\n"a": 1}') == '{\n"a": 1}'
