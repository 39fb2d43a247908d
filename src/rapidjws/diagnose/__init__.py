"""Find out why a token is refused, with a named cause and a fix."""

from rapidjws.diagnose.face import diagnose
from rapidjws.diagnose.report import Report
from rapidjws.diagnose.values import Cause, Check

__all__ = ["Cause", "Check", "Report", "diagnose"]
