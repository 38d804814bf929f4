"""Rules on the user's own code, read as a syntax tree: known faults of machine learning pipelines.

Nothing is imported or run. A rule sees one file; what happens between files is beyond it.
Sources: Zhang, Cruz and van Deursen (2022), code smells for machine learning; Sculley et al. (2015), hidden technical
debt; Kapoor and Narayanan (2023), leakage; the Python documentation on pickle and eval.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from shipworthy.errors import BadData

Severity = Literal["high", "low"]


class Smell(NamedTuple):
    """One finding. rule: its name. line: from 1."""

    rule: str
    severity: Severity
    path: str
    line: int
    sentence: str


Finder = Callable[[ast.Module], Iterator[tuple[ast.AST, str]]]


def lint(path: Path | str) -> tuple[Smell, ...]:
    """The smells of a Python file, in order of lines. Raises BadData when it cannot be read as Python."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"the code cannot be read: {error}", where=str(path),
                      hint="name a file of Python in UTF-8") from error
    return lint_text(text, where=str(path))


def lint_text(text: str, *, where: str = "code") -> tuple[Smell, ...]:
    """The smells of Python text. A line with "# accepted: reason" is left out. Raises BadData on a syntax error."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise BadData(f"this is not Python: {error}", where=where,
                      hint="correct the syntax; the linter reads what Python can read") from error
    lines = text.splitlines()
    found = {Smell(name, severity, where, getattr(node, "lineno", 1), sentence)
             for name, (severity, rule) in RULES.items() for node, sentence in rule(tree)}
    kept = [one for one in found if not re.search(r"#\s*accepted:\s*\S", lines[one.line - 1] if one.line <= len(lines)
                                                  else "")]
    return tuple(sorted(kept, key=lambda one: (one.line, one.rule)))


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every call with its dotted name, such as "pd.merge" or "model.fit"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, _dotted(node.func)


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _named(call: ast.Call, *names: str) -> bool:
    return any(keyword.arg in names for keyword in call.keywords)


def _words(node: ast.AST) -> str:
    return " ".join(child.id for child in ast.walk(node) if isinstance(child, ast.Name)).casefold()


def _is_test(node: ast.AST) -> bool:
    return bool(re.search(r"(^|[\s_])(x_?test|test|holdout|valid|eval|unseen)", _words(node)))


def _fit_before_split(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
        calls = sorted(((c, n) for c, n in _calls(scope)), key=lambda pair: pair[0].lineno)
        split = next((c.lineno for c, n in calls if n.endswith("train_test_split")), 0)
        for call, name in calls:
            if split and call.lineno < split and name.endswith((".fit_transform", ".fit_resample")):
                yield call, "fitted on all rows before they are split: what the holdout holds leaks into training"


def _fit_on_test(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for call, name in _calls(tree):
        if name.endswith((".fit_transform", ".fit", ".partial_fit")) and call.args and _is_test(call.args[0]):
            yield call, "fitted on test rows"


def _shuffled_time(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    ordered = any(re.search(r"\b(shift|rolling|diff|cumsum|sort_values|resample)$", name.split(".")[-1])
                  for _, name in _calls(tree))
    for call, name in _calls(tree):
        plain = name.endswith("train_test_split") and not any(
            k.arg == "shuffle" and isinstance(k.value, ast.Constant) and k.value.value is False for k in call.keywords)
        if ordered and plain:
            yield call, "rows that follow each other in time are split by shuffling: the future leaks into training"


def _target_among_features(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    targets = {node.value.slice.value for node in ast.walk(tree)
               if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)
               and isinstance(node.value.slice, ast.Constant) and isinstance(node.value.slice.value, str)
               and any(isinstance(t, ast.Name) and t.id in ("y", "target", "labels", "y_train") for t in node.targets)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name)
                                                and t.id in ("X", "features", "X_train", "columns")
                                                for t in node.targets):
            listed = {c.value for c in ast.walk(node.value) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
            dropped = any(name.endswith((".drop", ".pop", ".difference")) for _, name in _calls(node.value))
            if targets & listed and not dropped:
                yield node, f"the target {sorted(targets & listed)[0]!r} is among the features"


def _holdout_in_search(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
    for loop in loops:
        fits = any(name.endswith(".fit") for _, name in _calls(loop))
        for call, name in _calls(loop):
            if fits and name.split(".")[-1] in ("score", "predict", "predict_proba",
                                                "evaluate") and call.args and re.search(
                    r"(test|holdout)", _words(call.args[0])):
                yield call, "the holdout is scored inside a search: the choice is made by it"


DRAWS = ("choice", "normal", "permutation", "rand", "randint", "randn", "random", "shuffle", "uniform")


def _unseeded(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    seeded = any(name.endswith("random.seed") for _, name in _calls(tree))
    random = ("train_test_split", "KFold", "StratifiedKFold", "RandomForestClassifier", "RandomForestRegressor",
              "GradientBoostingClassifier", "MLPClassifier", "ShuffleSplit", "RandomizedSearchCV")
    for call, name in _calls(tree):
        last = name.split(".")[-1]
        if last in random and not _named(call, "random_state", "seed"):
            if last in ("KFold", "StratifiedKFold") and not _named(call, "shuffle"):
                continue
            yield call, f"{last} has no seed: the run cannot be repeated"
        if last == "default_rng" and not call.args and not call.keywords:
            yield call, "the random generator has no seed: the run cannot be repeated"
        if name.startswith(("np.random.", "numpy.random.")) and last in DRAWS and not seeded:
            yield call, f"np.random.{last} draws from a generator without a seed: the run cannot be repeated"


def _literal_threshold(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and len(node.comparators) == 1:
            right = node.comparators[0]
            proba = re.search(r"prob|score|pred", _words(node.left)) or any(
                name.endswith("predict_proba") for _, name in _calls(node.left))
            if isinstance(right, ast.Constant) and right.value == 0.5 and proba:
                yield node, "the threshold 0.5 is written into the code: choose it from what decisions cost"


def _loose_merge(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for call, name in _calls(tree):
        frame = name.endswith(".merge") and (name.startswith(("pd.", "pandas."))
                                             or _named(call, "on", "left_on", "how", "right_on"))
        if frame and not _named(call, "validate"):
            yield call, "a merge without validate: rows may be multiplied in silence"


def _row_loop(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for call, name in _calls(tree):
        if name.endswith((".iterrows", ".itertuples")):
            yield call, "rows are looped over one by one: use whole columns"
        along = any(k.arg == "axis" and isinstance(k.value, ast.Constant) and k.value.value in (1, "columns")
                    for k in call.keywords)
        if name.endswith(".apply") and along:
            yield call, "a function is called for every row: use whole columns"


def _chained(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node,
                                                                                                ast.AugAssign) else []
        for target in targets:
            twice = isinstance(target, ast.Subscript) and isinstance(target.value, ast.Subscript)
            if twice and any(_mask(part) for part in _slices(target)):
                yield node, "a chained assignment writes to a copy: use .loc with both at once"


def _mask(part: ast.expr) -> bool:
    both = isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitAnd | ast.BitOr)
    return both or isinstance(part, ast.Compare | ast.BoolOp)


def _slices(target: ast.expr) -> list[ast.expr]:
    found = []
    while isinstance(target, ast.Subscript):
        found.append(target.slice)
        target = target.value
    return found


def _swallowed(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for call, name in _calls(tree):
        all_of_them = {"Exception", "BaseException"} & {_dotted(arg) for arg in call.args}
        if name.split(".")[-1] == "suppress" and all_of_them:
            yield call, "every error is suppressed: a broken step looks like a good one"
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or _dotted(node.type) in ("Exception", "BaseException")
            silent = all(isinstance(s, ast.Pass | ast.Continue)
                         or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
                         for s in node.body)
            if broad and silent:
                yield node, "every error is swallowed: a broken step looks like a good one"


SECRET = re.compile(r"(password|passwd|secret|token|api_?key|private_?key)", re.IGNORECASE)


def _secret(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        pairs: list[tuple[str, ast.expr]] = []
        if isinstance(node, ast.Assign):
            pairs = [(_dotted(target), node.value) for target in node.targets]
        elif isinstance(node, ast.Dict):
            pairs = [(str(key.value), value) for key, value in zip(node.keys, node.values, strict=True)
                     if isinstance(key, ast.Constant)]
        elif isinstance(node, ast.Call):
            pairs = [(keyword.arg or "", keyword.value) for keyword in node.keywords]
        for name, value in pairs:
            if SECRET.search(name.split(".")[-1]) and isinstance(value, ast.Constant) and isinstance(value.value, str) \
                    and len(value.value) >= 6 and not value.value.startswith(("$", "{", "<")):
                yield node, f"{name} holds a secret in plain text: read it from the environment"


def _absolute(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(
                r"^(/(home|Users|root|mnt|data)/\S+|[A-Za-z]:\\\S+)$", node.value):
            yield node, f"the path {node.value!r} exists on one machine only"


def _runs_data(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for call, name in _calls(tree):
        if name in ("pickle.load", "pickle.loads", "cPickle.load", "joblib.load", "dill.load", "dill.loads",
                    "cloudpickle.load", "cloudpickle.loads", "pd.read_pickle", "pandas.read_pickle"):
            yield call, f"{name} runs whatever code the file holds"
        plain = any(k.arg == "weights_only" and isinstance(k.value, ast.Constant) and k.value.value
                    for k in call.keywords)
        if name == "torch.load" and not plain:
            yield call, "torch.load runs whatever code the file holds, unless weights_only=True"
        if name in ("eval", "exec") and not (call.args and isinstance(call.args[0], ast.Constant)):
            yield call, f"{name} runs whatever text it is given"


def _dead_branch(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    flags = {target.id: node.value.value for node in tree.body if isinstance(node, ast.Assign)
             and isinstance(node.value, ast.Constant)
             and isinstance(node.value.value, bool) for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.If):
            test = node.test
            constant = isinstance(test, ast.Constant) and isinstance(test.value, bool | int)
            if constant or (isinstance(test, ast.Name) and test.id in flags and test.id.isupper()):
                yield node, "an experiment's branch that is never, or always, taken"


ENTITY = re.compile(r"(^|_)(id|entity|user|customer|patient|person|account|household|device|store)(_?id)?s?$")


def _split_entities(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """A random split by row in a file that groups rows by whom they belong to, or counts them."""
    keyed = [column for call, name in _calls(tree) if name.endswith((".groupby", ".duplicated", ".drop_duplicates"))
             for column in _texts([*call.args, *(k.value for k in call.keywords if k.arg in ("by", "subset"))])
             if ENTITY.search(column)]
    grouped = any(name.split(".")[-1].startswith(("Group", "StratifiedGroup", "LeaveOneGroup"))
                  for _, name in _calls(tree))
    for call, name in _calls(tree):
        last = name.split(".")[-1]
        if keyed and not grouped and last in ("train_test_split", "KFold", "StratifiedKFold", "ShuffleSplit"):
            yield call, f"rows of one {keyed[0]} fall on both sides of the split: split by whole groups"


def _texts(nodes: Iterable[ast.expr]) -> list[str]:
    return [part.value for node in nodes for part in ast.walk(node)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)]


RULES: dict[str, tuple[Severity, Finder]] = {
    "fit-before-split": ("high", _fit_before_split),
    "fit-on-test": ("high", _fit_on_test),
    "shuffled-time": ("high", _shuffled_time),
    "split-entities": ("high", _split_entities),
    "target-among-features": ("high", _target_among_features),
    "holdout-in-search": ("high", _holdout_in_search),
    "secret-in-code": ("high", _secret),
    "runs-data": ("high", _runs_data),
    "swallowed-error": ("high", _swallowed),
    "no-seed": ("low", _unseeded),
    "literal-threshold": ("low", _literal_threshold),
    "loose-merge": ("low", _loose_merge),
    "row-loop": ("low", _row_loop),
    "chained-assignment": ("low", _chained),
    "absolute-path": ("low", _absolute),
    "dead-branch": ("low", _dead_branch),
}

SMELLS = "Zhang, Cruz and van Deursen (2022), code smells for machine learning applications"
LEAKS = "Kapoor and Narayanan (2023), leakage and the reproducibility crisis"
DEBT = "Sculley et al. (2015), hidden technical debt in machine learning systems"
SOURCES: dict[str, str] = {
    "fit-before-split": LEAKS, "fit-on-test": LEAKS, "shuffled-time": LEAKS, "split-entities": LEAKS,
    "target-among-features": LEAKS, "holdout-in-search": LEAKS, "no-seed": SMELLS, "literal-threshold": SMELLS,
    "loose-merge": SMELLS, "row-loop": SMELLS, "chained-assignment": SMELLS, "dead-branch": DEBT,
    "absolute-path": "The twelve-factor app (2011), III: configuration in the environment",
    "secret-in-code": "CWE-798, use of hard-coded credentials",
    "runs-data": "The Python documentation, pickle: never unpickle what could have come from an untrusted source",
    "swallowed-error": "CWE-390, detection of an error condition without action",
}
"""Rule → where it is from."""
