"""Why a token is refused, with a named cause and a fix."""

from rapidjws._lazy import lazy_names
from rapidjws.diagnose.face import diagnose

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from rapidjws.diagnose.report import Report
    from rapidjws.diagnose.values import Cause, Check
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.diagnose.report": ("Report",),
            "rapidjws.diagnose.values": ("Cause", "Check"),
        },
    )

__all__ = ["Cause", "Check", "Report", "diagnose"]
