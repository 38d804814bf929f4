"""What a server counts about itself, as Prometheus text; labels are bounded and never a value from data.

Source: Prometheus exposition format 0.0.4; the names `model_infer_…` and `rest_server_…` are those of MLServer 1.7.
"""

from __future__ import annotations

from bisect import bisect_left

EDGES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Counters:
    """Plain integers, added to on the request path and printed on demand."""

    def __init__(self, release: str) -> None:
        self.release = release
        self.requests: dict[tuple[str, int], int] = {}
        self.rows = self.unseen = self.outside = self.abstained = self.labels = self.in_flight = self.refused = 0
        self.seconds, self.buckets = 0.0, [0] * (len(EDGES) + 1)

    def done(self, route: str, status: int, seconds: float) -> None:
        """Count one request. route: one of the server's own, never the path that was asked."""
        self.requests[route, status] = self.requests.get((route, status), 0) + 1
        self.seconds += seconds
        self.buckets[bisect_left(EDGES, seconds)] += 1

    def text(self) -> str:
        """The figures in the exposition format."""
        good = sum(n for (route, status), n in self.requests.items() if route in ("predict", "infer") and status < 400)
        bad = sum(n for (route, status), n in self.requests.items() if route in ("predict", "infer") and status >= 400)
        label = f'{{release="{self.release[:16]}"}}'
        lines = [
            *_one("shipworthy_predictions_total", "counter", "Rows answered.", self.rows, label),
            *_one("shipworthy_unseen_categories_total", "counter", "Values new to the model.", self.unseen, label),
            *_one("shipworthy_outside_limits_total", "counter", "Numbers beyond declared limits.", self.outside, label),
            *_one("shipworthy_abstentions_total", "counter", "Rows without a decision.", self.abstained, label),
            *_one("shipworthy_labels_total", "counter", "Labels kept.", self.labels, label),
            *_one("shipworthy_overload_refusals_total", "counter", "Requests refused with 429.", self.refused, label),
            *_one("model_infer_request_success", "counter", "Requests for answers that were answered.", good),
            *_one("model_infer_request_failure", "counter", "Requests for answers that were refused.", bad),
            *_one("rest_server_requests_in_progress", "gauge", "Requests under way.", self.in_flight),
            "# HELP rest_server_requests Requests by route and status.", "# TYPE rest_server_requests counter",
            *(f'rest_server_requests{{path="{route}",status_code="{status}"}} {count}'
              for (route, status), count in sorted(self.requests.items())),
            "# HELP rest_server_requests_duration_seconds Time to answer.",
            "# TYPE rest_server_requests_duration_seconds histogram", *self._histogram(),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name, total, lines = "rest_server_requests_duration_seconds", 0, []
        for edge, count in zip((*map(str, EDGES), "+Inf"), self.buckets, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{edge}"}} {total}')
        return [*lines, f"{name}_sum {self.seconds:.6f}", f"{name}_count {total}"]


def _one(name: str, kind: str, text: str, value: int, labels: str = "") -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name}{labels} {value}"]
