"""Do the project's own plugins keep their contract? Read from their text; no plugin is run to be judged."""

from __future__ import annotations

import ast
from pathlib import Path

import pyarrow as pa

from shipworthy.core.case import SUBJECTS
from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.meters import OwnMeter, conform
from shipworthy.core.model import Model
from shipworthy.core.table import Table
from shipworthy.errors import nearest
from shipworthy.marks import check
from shipworthy.survey import BY_ID

KINDS = ("check", "sabotage", "twin", "learner", "connector", "metric", "labeler", "meter", "sink", "panel")
FEWEST = 30


@check("plugins-conform", row="deployment.custom-tooling")
def plugins_conform(code: tuple[str, ...]) -> Finding:
    """Whether every plugin function is documented and typed, and says truly what it takes.

    A check: row of the survey, subjects that exist, settings with a default and a type, and a sabotage that it is to
    catch. Others: a docstring, types, and the mark's name. code: paths of the plugin files.
    """
    plugins = [path for path in code if str(path).endswith(".py")]
    if not plugins:
        return say("not-applicable", "The project installs no plugin.")
    problems: list[str] = []
    judged = 0
    for path in plugins:
        if not Path(path).is_file():
            problems.append(f"{Path(path).name} does not exist")
            continue
        found, count = conformity(Path(path).read_text(encoding="utf-8"))
        problems += [f"{Path(path).name}: {one}" for one in found]
        judged += count
    if problems:
        return say("fail", f"{len(problems)} faults in {len(plugins)} plugin files: {'; '.join(problems[:4])}.",
                   value=float(len(problems)), limit=0.0, n=judged, remedy=f"mend it: {problems[0]}")
    if not judged:
        return say("unknown", f"{len(plugins)} plugin files hold no marked function.", n=0,
                   remedy="mark one with @check, @metric, @learner, @connector or @labeler of shipworthy.marks")
    return say("pass", f"All {judged} marked functions of {len(plugins)} plugin files are documented, typed and true "
               "to their signature.", value=0.0, limit=0.0, n=judged)


@check("meters-conform", row="deployment.custom-tooling")
def meters_conform(meters: tuple[OwnMeter, ...], model: Model, parts: Parts, *, rows: int = 1_000) -> Finding:
    """Whether every figure that a plugin counts adds up: any split and any order of holdout rows, answered by the
    model, gives the same integers, and an empty table none. rows: of the holdout that are used.
    """
    if not meters:
        return say("not-applicable", "No plugin counts a figure of traffic.")
    table = parts.holdout.spread(rows)
    if table.rows < FEWEST:
        return say("unknown", f"{table.rows} holdout rows are too few to split; {FEWEST} are needed.", n=table.rows)
    served = answered(model, table)
    faults = [fault for one in meters for fault in conform(one, served[one.of])]
    if faults:
        return say("fail", f"{len(faults)} faults in {len(meters)} figures of plugins: {'; '.join(faults[:3])}.",
                   value=float(len(faults)), limit=0.0, n=table.rows,
                   remedy="count rows, and nothing but rows: what two tables give must add up to what both give")
    return say("pass", f"All {len(meters)} figures of plugins add up, however {table.rows:,} rows are split and "
               "ordered.", value=0.0, limit=0.0, n=table.rows)


def answered(model: Model, table: Table) -> dict[str, Table]:
    """Rows as meters are given them: served, and the same with what came true."""
    answer = model.predict(table)
    score = answer.score if answer.score.ndim == 1 else answer.score.max(axis=1)
    served = table.select(list(model.features.columns)).with_column("score", score)
    served = served.with_column("decision", pa.array(list(answer.decision)))
    served = served.with_column("prediction_id", pa.array([f"row-{place}" for place in range(table.rows)]))
    return {"rows": served, "labels": served.with_column("label", pa.array(table.words(model.sheet.target)))}


def conformity(text: str) -> tuple[list[str], int]:
    """What is wrong with a plugin's text, and how many marked functions it holds."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return [f"it is not Python: {error.msg}, line {error.lineno}"], 0
    marked = [(node, mark) for node in tree.body if isinstance(node, ast.FunctionDef)
              for mark in node.decorator_list if isinstance(mark, ast.Call) and _mark(mark) in KINDS]
    sabotaged = {str(_fact(mark, "check")) for _, mark in marked if _mark(mark) == "sabotage"}
    problems = [f"{node.name} {problem}" for node, mark in marked for problem in _problems(node, mark, sabotaged)]
    return problems, len(marked)


def _problems(node: ast.FunctionDef, mark: ast.Call, sabotaged: set[str]) -> list[str]:
    found = [] if ast.get_docstring(node) else ["has no docstring"]
    untyped = [arg.arg for arg in (*node.args.args, *node.args.kwonlyargs) if arg.annotation is None]
    found += [f"does not say the type of {name}" for name in untyped]
    found += [] if node.returns is not None else ["does not say what it returns"]
    return [*found, *(_check_problems(node, mark, sabotaged) if _mark(mark) == "check" else [])]


def _check_problems(node: ast.FunctionDef, mark: ast.Call, sabotaged: set[str]) -> list[str]:
    row, name = str(_fact(mark, "row")), str(mark.args[0].value) if mark.args and isinstance(mark.args[0],
                                                                                             ast.Constant) else ""
    found = [] if row in BY_ID else [f'names the row "{row}", which does not exist; {nearest(row, BY_ID)}'.rstrip("; ")]
    found += [f'judges "{arg.arg}", which is no subject; {nearest(arg.arg, SUBJECTS)}'.rstrip("; ")
              for arg in node.args.args if arg.arg not in SUBJECTS]
    found += [f"has the setting {arg.arg} without a default" for arg, default in
              zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if default is None]
    found += ["takes *args or **kwargs, which hide what it judges"] if node.args.vararg or node.args.kwarg else []
    found += [] if name in sabotaged else [f'has no sabotage: write one with @sabotage("…", check="{name}")']
    return found


def _mark(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func,
                                                                                                  ast.Name) else ""


def _fact(call: ast.Call, name: str) -> object:
    return next((k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None)
