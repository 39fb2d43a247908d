"""The version, once. pyproject.toml, the compiled module and the command line all read it here."""

__version__ = "0.1.0"
