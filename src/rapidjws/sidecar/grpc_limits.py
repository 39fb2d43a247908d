"""Bounds of gRPC connections: far above what a gateway needs, and soon met by a client that means no good."""

from __future__ import annotations

from typing import Final

import ngh2

STREAMS_MAX: Final = 1024
"""Most calls of a connection at once (RFC 9113 s.5.1.2)."""

METADATA_MAX_BYTES: Final = 16 * 1024
"""Largest metadata of a call, its names and values with 32 octets each (RFC 9113 s.6.5.2)."""

METADATA_MAX_FIELDS: Final = 128

FRAME_MAX_BYTES: Final = 16 * 1024
"""Largest frame, the least that HTTP/2 allows (RFC 9113 s.4.2)."""

CONTINUATIONS_MAX: Final = 4
"""Most frames in which metadata goes on: more than its size needs (CVE-2024-27316)."""

WINDOW_BYTES: Final = 1024 * 1024
"""What a connection may send before it is read."""

UNFINISHED_MAX_BYTES: Final = 64 * 1024 * 1024
"""Most octets of unfinished messages that a worker keeps."""

UNSENT_MAX_BYTES: Final = 1024 * 1024
"""Most octets of answers that a connection does not take."""

RESETS: Final = (1000, 500)
"""Resets of calls at once, and a second: a gateway resets what timed out, a flood more (CVE-2023-44487)."""

FAULTS: Final = (1000, 100)
"""Frames without a use at once, and a second, as libnghttp2 counts them."""

ACKNOWLEDGEMENTS_MAX: Final = 256
"""Most answers to PING and SETTINGS that wait to be sent (CVE-2019-9512, CVE-2019-9515)."""

CONTROLS_MAX: Final = 2000
"""Frames beside calls (SETTINGS, PING, WINDOW_UPDATE, resets) that a connection has saved up at most."""

CONTROLS_PER_S: Final = 200
"""How many more it may send each second, besides those that come with calls."""

CONTROLS_PER_CALL: Final = 4
"""How many more it may send with each call that was answered."""

WATCHES_MAX: Final = 8
"""Most calls of Health/Watch of a connection, which may stay open."""

NOTICE_S: Final = 0.1
"""Time between the notice that a connection ends and its last GOAWAY: calls on their way still come."""

CONFIGURATION: Final = ngh2.Configuration(
    max_outbound_ack=ACKNOWLEDGEMENTS_MAX,
    stream_reset_rate_limit=RESETS,
    glitch_rate_limit=FAULTS,
    max_continuations=CONTINUATIONS_MAX,
    max_inbound_header_list_size=METADATA_MAX_BYTES,
    max_inbound_header_count=METADATA_MAX_FIELDS,
)


def connection_settings(max_message_bytes: int) -> dict[ngh2.Setting, int]:
    """Return the SETTINGS that a connection begins with.

    Args:
        max_message_bytes: The largest message, which a call may send at once.
    """
    return {
        ngh2.Setting.MAX_CONCURRENT_STREAMS: STREAMS_MAX,
        ngh2.Setting.INITIAL_WINDOW_SIZE: min(max(65_535, max_message_bytes), 2**31 - 1),
        ngh2.Setting.MAX_FRAME_SIZE: FRAME_MAX_BYTES,
        ngh2.Setting.MAX_HEADER_LIST_SIZE: METADATA_MAX_BYTES,
        ngh2.Setting.NO_RFC7540_PRIORITIES: 1,
    }
