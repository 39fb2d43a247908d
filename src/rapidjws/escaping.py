"""Foreign text made harmless, a function a medium: terminal, web page, shell, file, mail, log, header, label.

Whatever a stranger chose (a kid, a claim, a file's content, an answer of a server) goes through one of these
before it is printed or written. Imports nothing of this package.
"""

from __future__ import annotations

import html as _html
import json as _json
import re
import shlex
from typing import Final
from urllib.parse import quote

SHOWN_MAX_CHARS: Final = 300
"""Longest foreign text on a line, in characters, where no other limit is given."""
FILE_NAME_MAX_CHARS: Final = 64
_MARKDOWN: Final = re.compile(r"[\\`*_\[\]<>|&~@]|(?<=:)//|(?<=\bwww)\.|^[#+=-]", re.IGNORECASE)
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")
_VISIBLE_ASCII: Final = "!#$&'()*+-./:;<=>?@[]^_`{|}~"


def _bounded(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[:max_chars]}... ({len(text)} characters)"


def printable(text: object, max_chars: int = SHOWN_MAX_CHARS) -> str:
    r"""Return a value as one bounded line: control, bidirectional and invisible characters as ``\u`` escapes.

    Args:
        text: The value; ``str`` is taken of what is no text.
        max_chars: Longest piece of it that is shown, characters.
    """
    plain = str(text)
    shown = _bounded(plain, max_chars)
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else _escape(char) for char in shown)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


terminal = printable


def terminal_lines(text: object, max_chars: int = 20_000) -> str:
    """Return a text of several lines for a terminal: as :func:`printable`, with its line feeds kept."""
    return "\n".join(printable(line, max_chars) for line in str(text)[:max_chars].split("\n"))


def json_text(text: str) -> str:
    r"""Return JSON that a terminal may be shown: equal in value, with ``\u`` escapes for what it would obey.

    Args:
        text: JSON without white space but line feeds between its tokens.
    """
    if text.isprintable():
        return text
    shown = (char if char.isprintable() or char == "\n" else _json.dumps(char)[1:-1] for char in text)
    return "".join(shown)


def markdown(text: object, max_chars: int = SHOWN_MAX_CHARS) -> str:
    """Return one line that Markdown (CommonMark, GFM tables, autolinks) does not read as markup."""
    return _MARKDOWN.sub(lambda match: "\\" + match[0], printable(text, max_chars))


def html(text: object, max_chars: int = 4000) -> str:
    """Return one line for an HTML text or a quoted attribute."""
    return _html.escape(printable(text, max_chars), quote=True)


def shell_word(text: object) -> str:
    """Return one word for a POSIX shell, to be pasted or written into a script.

    Raises:
        ValueError: It holds a character that must not reach a shell or a terminal.
    """
    plain = str(text)
    if not plain.isprintable():
        raise ValueError("a shell word holds printable characters only")
    return shlex.quote(plain)


def file_name(text: object, max_chars: int = FILE_NAME_MAX_CHARS) -> str:
    """Return one component of a path: letters, digits, '.', '_', '-'; not hidden, no option, never empty."""
    plain = _NOT_IN_FILE_NAMES.sub("_", str(text)[:max_chars]).lstrip(".-")
    return plain or "_"


def mail_header(text: object, max_chars: int = SHOWN_MAX_CHARS) -> str:
    """Return the text of a mail header: one line, so that nothing adds a header (RFC 5322 s.2.2)."""
    return printable(text, max_chars)


def log_value(text: object, max_chars: int = SHOWN_MAX_CHARS) -> str:
    """Return one ASCII word for a log line ``name=value``; quoted where it holds more than a word."""
    plain = ascii(_bounded(str(text), max_chars))[1:-1].replace("\\'", "'")
    word = re.fullmatch(r"[A-Za-z0-9._:/@+-]+", plain)
    return plain if word else '"' + plain.replace('"', '\\"') + '"'


def metric_label(text: str) -> str:
    """Return the value of a label between quotes, for both text formats of Prometheus.

    What is no Unicode scalar value is shown as an escape whose backslash is doubled: neither format knows it.
    """
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def header_value(text: object, max_chars: int = 1024) -> str:
    """Return an HTTP field value in visible ASCII; all else percent-encoded as UTF-8 (RFC 3986 s.2.1)."""
    return quote(str(text)[:max_chars], safe=_VISIBLE_ASCII, errors="replace")
