"""Files and folders that a configuration names: what is wrong with them, found before a process serves.

Nothing is made or changed here. A start refuses the same that ``rapidjws config check`` lists.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.config import schema
from rapidjws.config.issuer_folder import folder_faults
from rapidjws.config.key_sources import transport_from
from rapidjws.config.log_section import DESTINATIONS, is_log_file
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.keys.credentials import CREDENTIAL_FILES, check_files
from rapidjws.rollout.state import PLAN_COPY, PLAN_FILE, UNREADABLE, read_plan
from rapidjws.stores import RevocationFile
from rapidjws.verify.key_set_file import read_key_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rapidjws.config.schema import Fault

CA_MAX_BYTES: Final = 16 * 1024 * 1024
CERTIFICATES: Final = "a PEM file of certificates, or PEM text"
NO_CERTIFICATES: Final = "no certificates"


def named_file_faults(tables: dict[str, Any], folder: Path) -> Iterator[Fault]:
    """Yield what is wrong with files, folders and Unix sockets that are needed to serve.

    Args:
        tables: The configuration; tables and values of another type than they must have are passed over.
        folder: What paths are relative to.
    """
    issuers = tables.get("issuers")
    for number, issuer in enumerate(issuers if isinstance(issuers, list) else ()):
        if isinstance(issuer, dict):
            for name, expected, actual in _issuer_faults(issuer, folder):
                yield ("issuers", number, name), expected, actual
    yield from _authz_faults(tables.get("authz"), folder)
    for section, name, check in (
        ("registry", "folder", _registry_fault),
        ("revocations", "file", _revocation_fault),
        ("rollout", "state", _state_fault),
        *(("logs", name, _log_fault) for name in DESTINATIONS),
        *(("server", name, _socket_fault) for name in schema.ADDRESSES),
    ):
        value = tables[section].get(name) if isinstance(tables.get(section), dict) else None
        fault = check(value, folder) if isinstance(value, str) else None
        if fault is not None:
            yield (section, name), *fault


def _authz_faults(section: Any, folder: Path) -> Iterator[Fault]:
    if section:
        from rapidjws.config.authz_section import policy_file_faults

        yield from policy_file_faults(section, folder)


def check_certificates(pem: str) -> None:
    """Refuse PEM text that holds no certificate to trust.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    from rapidjws.keys.fetch import check_authorities

    try:
        context = ssl.create_default_context(cadata=pem)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise error_for("configuration_invalid", "ca", CERTIFICATES, NO_CERTIFICATES) from None
    check_authorities(context)


def reason_of(fault: BaseException) -> str:
    """Return why something cannot be used: the system's word, or the kind of fault."""
    if isinstance(fault, RapidJWSError):
        return str(fault.actual or fault.expected or fault.code)
    return (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__


def _issuer_faults(issuer: dict[str, Any], folder: Path) -> Iterator[tuple[str, str, str | None]]:
    keys, trusted, kept = (issuer.get(name) for name in ("jwks_file", "ca", "last_good_file"))
    if isinstance(keys, str):
        try:
            found = read_key_set(folder / keys)
        except FileNotFoundError as fault:
            if issuer.get("required", True):  # others may get their file later
                yield "jwks_file", "a JWK Set in a file", reason_of(fault)
        except (OSError, ValueError, RecursionError, RapidJWSError) as fault:
            yield "jwks_file", "a JWK Set in a file", reason_of(fault)
        else:
            if not found.keys:
                yield "jwks_file", "a JWK Set with a key that can be used", "none"
    if isinstance(trusted, str) and "-----BEGIN" not in trusted:
        try:
            octets = _files.read_trusted(folder / trusted, CA_MAX_BYTES)
            check_certificates(
                octets.decode("latin-1").encode("ascii", "replace").decode()
            )  # names in comments
        except RapidJWSError as refused:
            yield "ca", str(refused.expected), reason_of(refused)
        except ValueError:  # no name that a folder can hold
            yield "ca", CERTIFICATES, NO_CERTIFICATES
        except OSError as fault:
            yield "ca", CERTIFICATES, reason_of(fault)
    yield from _key_file_faults(issuer, folder)
    if isinstance(kept, str):
        word = _folder_fault((folder / kept).parent)
        if word is not None:
            yield "last_good_file", "a file in a folder to write to", word


def _key_file_faults(issuer: dict[str, Any], folder: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield what is wrong with PEM files, and with files that hold request headers."""
    keys = issuer.get("pem_path")
    if isinstance(keys, str):
        from rapidjws.keys.pem_files import PEMFiles

        found = PEMFiles(folder / keys).state().keys
        if found is None and issuer.get("required", True):
            yield "pem_path", "PEM or certificate files with a public key each", "none"
    roots = issuer.get("x5c_roots")
    if isinstance(roots, (str, list)):
        try:
            from rapidjws.keys.chain import load_roots

            load_roots([folder / one for one in ([roots] if isinstance(roots, str) else roots)])
        except RapidJWSError as fault:
            yield "x5c_roots", str(fault.expected), reason_of(fault)
        except TypeError:  # of another type: the check of types lists it
            pass
    try:
        check_files(transport_from(issuer, folder))
    except RapidJWSError as fault:
        if fault.place in CREDENTIAL_FILES:
            yield fault.place, str(fault.expected), reason_of(fault)
    except (AttributeError, TypeError):  # of another type: the check of types lists it
        return


def _registry_fault(value: str, folder: Path) -> tuple[str, str | None] | None:
    try:
        found = next(folder_faults(folder / value), None)
    except (OSError, ValueError) as fault:
        return "a folder that can be listed", reason_of(fault)
    return None if found is None else ("files of issuers, named by their iss", found)


def _revocation_fault(value: str, folder: Path) -> tuple[str, str | None] | None:
    path = folder / value
    try:
        RevocationFile(path).load()
        is_there = os.path.lexists(path)
    except (RapidJWSError, OSError, ValueError) as fault:
        return "a whole list of revocations; restore it", reason_of(fault)
    word = None if is_there else _folder_fault(path.parent)  # a list that another program writes is only read
    return None if word is None else ("a file in a folder to write to", word)


def _state_fault(value: str, folder: Path) -> tuple[str, str | None] | None:
    path = folder / value
    expected = "a folder to write to, or whose place can be made"
    try:
        if not path.exists():
            made_in = next((one for one in path.parents if one.exists()), path.parent)
            word = _folder_fault(made_in)
            return None if word is None else (expected, word)
    except (OSError, ValueError) as fault:
        return expected, reason_of(fault)
    word = _folder_fault(path)  # plan, history and evidence are in it
    if word is not None:
        return expected, word
    damaged: BaseException | None = None
    for name in (PLAN_FILE, PLAN_COPY):  # a start takes the copy where the plan is damaged
        try:
            read_plan(path / name)
        except FileNotFoundError:
            continue
        except (*UNREADABLE, RapidJWSError) as fault:
            damaged = damaged or fault
        else:
            return None
    return None if damaged is None else (f"a folder with a whole {PLAN_FILE}", reason_of(damaged))


def _log_fault(value: str, folder: Path) -> tuple[str, str | None] | None:
    if not is_log_file(value):
        return None
    path, expected = folder / value, "a file to append to, or a folder to make it in"
    try:
        os.lstat(path)
        os.close(_files.open_log(path))
    except FileNotFoundError:
        word = _folder_fault(path.parent)
        return None if word is None else (expected, word)
    except (OSError, ValueError) as fault:
        return expected, reason_of(fault)
    return None


def _socket_fault(value: str, folder: Path) -> tuple[str, str | None] | None:
    path = value.removeprefix("unix:")
    if path == value or not path:
        return None
    word = _folder_fault((folder / path).parent)
    return None if word is None else ("a socket in a folder to write to", word)


def _folder_fault(path: Path) -> str | None:
    """Return why nothing can be made in a folder, or None."""
    try:
        if not path.exists():
            return f"no folder {path}"
        if not path.is_dir():
            return f"{path} is no folder"
    except (OSError, ValueError) as fault:
        return f"{path}: {reason_of(fault)}"
    return None if os.access(path, os.W_OK | os.X_OK) else f"{path} is not writable for this user"
