"""Protocols: the classes of this server's connections, within the limits of the settings."""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass

from antiphon.api import http_connection, websocket_connection
from antiphon.api.connection_limits import ConnectionLimits, Connections
from antiphon.api.proxies import TrustedProxies
from antiphon.settings import Settings

#: Files that the server needs beside its connections.
OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class Protocols:
    http: type[asyncio.Protocol]
    websocket: type[asyncio.Protocol]


def protocols(settings: Settings) -> Protocols:
    limits = ConnectionLimits(
        head_seconds=settings.head_seconds, body_seconds=settings.body_seconds, stall_seconds=settings.stall_seconds
    )
    most = min(settings.max_connections, possible(settings.max_connections))
    connections = Connections(most, settings.max_address_connections, TrustedProxies(settings.trusted_proxies))
    return Protocols(http_connection.protocol(limits, connections), websocket_connection.protocol(limits, connections))


def possible(connections: int) -> int:
    """How many connections the system allows, of which each is an open file. Raises the process's limit of open files
    as far as these need it and the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    wanted = connections + OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(soft // 2, soft - OTHER_FILES)
