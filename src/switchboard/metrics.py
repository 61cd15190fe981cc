"""What is counted, in Prometheus' words."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The counters of one process, in a registry of their own so that two services in one process stay apart."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "switchboard_http_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self.request_seconds = Histogram(
            "switchboard_http_request_seconds", "Time to answer.", ["method", "route"], registry=self._registry
        )
        self.webhooks = Counter(
            "switchboard_webhooks", "Webhooks by outcome.", ["platform", "outcome"], registry=self._registry
        )
        self.messages = Counter(
            "switchboard_messages_received", "Messages stored from channels.", registry=self._registry
        )
        self.spooled = Gauge(
            "switchboard_spooled_calls", "Calls that wait on disk for the database.", registry=self._registry
        )
        self.replies = Counter("switchboard_replies", "Replies by outcome.", ["outcome"], registry=self._registry)
        self.reply_seconds = Histogram(
            "switchboard_reply_seconds",
            "Time from claiming a turn to its stored reply.",
            registry=self._registry,
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64),
        )
        self.provider_attempts = Counter(
            "switchboard_provider_attempts",
            "Calls to models by outcome; skipped is one that was not made.",
            ["provider", "outcome"],
            registry=self._registry,
        )
        self.breakers = Gauge(
            "switchboard_provider_left_alone",
            "1 while a model, or all of a provider's, is left alone after failures.",
            ["provider", "model"],
            registry=self._registry,
        )
        self.deliveries = Counter("switchboard_deliveries", "Sends by outcome.", ["outcome"], registry=self._registry)
        self.turns_held = Gauge("switchboard_turns_held", "Turns being answered now.", registry=self._registry)
        self.events = Counter("switchboard_events", "Events that came by on the live feed.", registry=self._registry)
        self.streams = Gauge(
            "switchboard_streams_open", "Live streams that are open.", ["transport"], registry=self._registry
        )
        self.streams_ended = Counter(
            "switchboard_streams_ended", "Live streams by what ended them.", ["reason"], registry=self._registry
        )
        self.rate_limits = Counter(
            "switchboard_rate_limits", "Limits asked, by outcome.", ["policy", "outcome"], registry=self._registry
        )
        self.upkeep = Counter(
            "switchboard_upkeep_runs", "Periodic tasks done by outcome.", ["task", "outcome"], registry=self._registry
        )
        self.mended = Counter(
            "switchboard_mended",
            "Faults of conversations mended, by what was wrong.",
            ["what"],
            registry=self._registry,
        )

    def render(self) -> bytes:
        """The text that `/metrics` answers."""
        return generate_latest(self._registry)
