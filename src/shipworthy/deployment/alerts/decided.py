"""What a look decided, in one sentence: whether somebody is called, and why or why not."""

from __future__ import annotations

from shipworthy.deployment.monitoring.watch import Watched

CLOSE = "once it is dealt with: shipworthy watch --close REASON --by YOU"


def calls(watched: Watched) -> bool:
    """Whether somebody is called: an incident is open, or was in this look, and is not silenced."""
    return bool(watched.incidents or watched.incident) and not watched.silenced


def decided(watched: Watched) -> str:
    """Whether somebody is called by a look with rows, and the reason: findings call nobody, alarms do."""
    if calls(watched):
        was = "an incident was opened" if watched.incidents else "an incident is open"
        return f"somebody is called: {was}; {CLOSE if watched.incident else 'it is over already'}"
    if watched.incident is not None:
        return "nobody is called: all alarms of the open incident are silenced"
    failed = [finding.check for finding in watched.findings if finding.verdict == "fail"]
    failed += [one.name for one in watched.figures if one.verdict == "fail"]
    read = f"; read what failed ({', '.join(failed)}): only alarms call, once they are sure" if failed else ""
    return f"nobody is called: {_why_not(watched)}{read}"


def _why_not(watched: Watched) -> str:
    """Of alarms that were raised, why they page nobody; else how near the nearest came."""
    for done, why in (("log", "harm was excluded, so it is only logged"), ("silenced", "it is silenced")):
        families = {family for window in watched.windows if window.done == done
                    for family, m in window.m.items() if m >= window.bar}
        if families:
            return f"{', '.join(sorted(families))} raised an alarm, but {why}"
    near = {f"{family}/{window.level}": m / window.bar for window in watched.windows for family, m in window.m.items()}
    near = near or dict(watched.state.height)
    if not near:
        return "there is no window to judge yet"
    name = max(near, key=lambda one: near[one])
    family, _, level = name.partition("/")
    share = f"{near[name]:.0%}" if near[name] >= 0.01 else "less than 1%"
    return f"no alarm has reached its bar; the nearest, {family} by {level}, is at {share} of it"
