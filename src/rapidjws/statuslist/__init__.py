"""Token Status Lists, a draft (draft-ietf-oauth-status-list): which tokens of an issuer are valid now."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.statuslist.status_list_source import StatusListSource
    from rapidjws.statuslist.status_lists import StatusLists
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.statuslist.status_list_source": ("StatusListSource",),
            "rapidjws.statuslist.status_lists": ("StatusLists",),
        },
    )

__all__ = [
    "StatusListSource",
    "StatusLists",
]
