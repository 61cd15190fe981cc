"""Everything that is open in one process, for whoever is handed it."""

from collections.abc import Callable
from dataclasses import dataclass

from switchboard.auth import Auth, Caller
from switchboard.bell import Bell
from switchboard.channels.registry import Channels
from switchboard.database import Database
from switchboard.egress import Egress
from switchboard.health import Check
from switchboard.http.rate_limits import RateLimits
from switchboard.inbox.accept import Intake
from switchboard.inbox.spool import Spool
from switchboard.knowledge.retrieve import Knowledge
from switchboard.live.feed import Feed
from switchboard.metrics import Metrics
from switchboard.providers.embeddings import Embeddings
from switchboard.providers.registry import Providers
from switchboard.replies.say import Programs
from switchboard.settings import Settings
from switchboard.storage import Storage
from switchboard.storage.links import Links
from switchboard.upkeep.run import Upkeep


@dataclass(frozen=True, slots=True)
class Switchboard:
    """Everything that is open."""

    settings: Settings
    database: Database
    intake: Intake
    spool: Spool
    channels: Channels
    files: Storage
    links: Links
    egress: Egress
    providers: Providers
    auth: Auth
    metrics: Metrics
    turns_bell: Bell
    deliveries_bell: Bell
    programs: Programs
    people_act: Callable[[Caller, int], None]
    """Tells what is remembered for an outage that a person does something with this conversation."""
    events_bell: Bell
    feed: Feed
    rate_limits: RateLimits
    embeddings: Embeddings | None
    knowledge: Knowledge
    knowledge_bell: Bell
    summaries_bell: Bell
    exports_bell: Bell
    upkeep: Upkeep
    checks: dict[str, Check]
