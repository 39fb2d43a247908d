"""The version of PyJWT whose interface this is, for code that looks at it."""

__version__ = "2.15.1"
