"""Token introspection (RFC 7662): what an authorization server says of a token, cached and bounded."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.introspection.client import IntrospectionClient
    from rapidjws.introspection.introspection import Introspection
    from rapidjws.introspection.limits import IntrospectionLimits
    from rapidjws.introspection.servers import IntrospectionServers
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.introspection.client": ("IntrospectionClient",),
            "rapidjws.introspection.introspection": ("Introspection",),
            "rapidjws.introspection.limits": ("IntrospectionLimits",),
            "rapidjws.introspection.servers": ("IntrospectionServers",),
        },
    )

__all__ = [
    "Introspection",
    "IntrospectionClient",
    "IntrospectionLimits",
    "IntrospectionServers",
]
