"""Who the endpoints of a run are, and who of them a connection has proved to be."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from bus import protocol as p
from bus.errors import ConfigError


@dataclass
class EndpointSpec:
    """One process: its components, by name and source id, what it takes, and which of that it never answers.

    `sources` are the ids of the data sources among them. `token` is known to this process and the hub only.
    """

    name: str
    source_ids: frozenset[int]
    takes: frozenset[int]
    quiet: frozenset[int]
    sources: frozenset[int]
    token: str
    routing_id: bytes = b""
    ready: bool = False
    pid: int = 0


@dataclass
class Roster:
    """The endpoints of a run; sets of them are bit masks, bit i for endpoint i."""

    endpoints: Sequence[EndpointSpec]
    _by_routing_id: dict[bytes, int] = field(default_factory=dict)
    _owing: dict[int, int] = field(default_factory=dict)
    """By type, as long as nobody changes what it is quiet for."""

    def __post_init__(self) -> None:
        if len(self.endpoints) > p.MAX_ENDPOINTS:
            raise ConfigError(f"{len(self.endpoints)} processes in one run; at most {p.MAX_ENDPOINTS} are possible")

    @property
    def everybody(self) -> int:
        """The mask of all."""
        return (1 << len(self.endpoints)) - 1

    @property
    def not_ready(self) -> list[str]:
        """Names of those whose live stream is not known to be open."""
        return [endpoint.name for endpoint in self.endpoints if not endpoint.ready]

    def names(self, mask: int) -> str:
        """The names in a mask."""
        return ", ".join(endpoint.name for index, endpoint in enumerate(self.endpoints) if mask >> index & 1)

    def index_of(self, routing_id: bytes) -> int | None:
        """Whose connection this is; None for a stranger's."""
        return self._by_routing_id.get(routing_id)

    def admit(self, routing_id: bytes, token: str, pid: int) -> int | None:
        """Whose token this is, which then belongs to this connection; None if it is nobody's, or taken."""
        for index, endpoint in enumerate(self.endpoints):
            if not endpoint.routing_id and secrets.compare_digest(endpoint.token.encode(), token.encode()):
                endpoint.routing_id, endpoint.pid = routing_id, pid
                self._by_routing_id[routing_id] = index
                return index
        return None

    def owing(self, type_id: int) -> int:
        """The mask of those who take a type and may answer it."""
        known = self._owing.get(type_id)
        if known is not None:
            return known
        mask = 0
        for index, endpoint in enumerate(self.endpoints):
            if type_id in endpoint.takes and type_id not in endpoint.quiet:
                mask |= 1 << index
        self._owing[type_id] = mask
        return mask

    def set_quiet(self, index: int, quiet: frozenset[int]) -> None:
        """Endpoint `index` will not answer these types until it says otherwise."""
        endpoint = self.endpoints[index]
        if endpoint.quiet != quiet:
            endpoint.quiet = quiet
            self._owing.clear()
