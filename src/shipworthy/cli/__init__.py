"""The command line: one verb a file. stdout is data, stderr is talk; exit 0 fit, 1 not fit, 2 misused or broken."""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path

import click

from shipworthy import __version__
from shipworthy.errors import FAULTS, Misuse, ShipworthyError, nearest

SECTIONS: dict[str, dict[str, str]] = {
    "From a table to a release": {
        "demo": "The whole way on bundled flight data, in under four minutes.",
        "init": "Write shipworthy.toml for a table: every guess with its reason.",
        "discover": "List tables, keys and joins of a folder or project.",
        "profile": "Look at a table once: types, gaps, suspects, personal data.",
        "contract": "Show the rules that a batch must keep, and judge one.",
        "run": "Table to release candidate, with the checklist at the end.",
    },
    "Is it fit": {
        "checklist": "Every row: verdict, number, limit, and the command that helps.",
        "report": "Write the release report as one HTML page.",
        "evidence": "Give evidence to other tools: in-toto, SLSA, CycloneDX; why it is stale.",
        "law": "Every clause of the chosen rule packs: evidence, verdict, what is open.",
        "verify": "Re-check a release's digests and re-execute its evidence, offline.",
        "drill": "Attack a release, or erase made-up people, and say what came of it.",
        "mitigate": "What closing a gap between groups would cost, method by method.",
        "sabotage": "Plant every fault and see whether its check catches it.",
    },
    "What people decide": {
        "promote": "Make a release candidate the champion; refused until it is fit.",
        "rollback": "Make the previous champion the champion again.",
        "rollout": "Let a challenger take over share by share, or take it back.",
        "waive": "Accept a row that is not proved, by name, with a reason and an expiry.",
        "attest": "Sign what only a person can say.",
        "review": "Record what users said about a requirement; list their feedback.",
    },
    "Releases and answers": {
        "releases": "List, show, name, export, import and clear away releases.",
        "predict": "Score a table with a release.",
        "explain": "Say why a release answers one row as it does.",
        "notice": "Say why somebody was refused, by code, and what they can do.",
    },
    "In use": {
        "serve": "Answer requests and log what was served.",
        "token": "Say who may ask: make, list, rotate and revoke API tokens.",
        "labels": "Keep what came true, from a table.",
        "watch": "Evidence about traffic: what moved, and whether it harms.",
        "renew": "Train a challenger on newer data; it must earn its place.",
        "adapt": "Correct the champion for shifted traffic, without new labels.",
        "compare": "Say whose change made it worse: the code's, the model's or the data's.",
        "deploy": "Write what Docker, Kubernetes, KServe or systemd need to run the server.",
    },
    "Whose rows they are": {
        "erase": "Erase people from tables, log, caches, releases and backups.",
        "forget": "Remove rows that are older than the project may keep them.",
        "sign": "Sign a table that is sent, so that its reader knows who sent it.",
        "party": "Answer for rows that another project learns from, with masked sums only.",
    },
    "Running it": {
        "control": "Serve the control API: runs, releases, evidence, promotion.",
        "worker": "Do the runs that the control API queued.",
        "backup": "Copy a project into one file, safe while servers answer.",
        "restore": "Make a project again from such a file, every byte checked.",
        "doctor": "Say what this installation can do; rebuild the index.",
    },
}
VERBS = {verb: told for section in SECTIONS.values() for verb, told in section.items()}


class Verbs(click.Group):
    """A group whose commands are imported only when used, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            raise Misuse(f'there is no verb "{cmd_name}"', where="shipworthy",
                         hint=nearest(cmd_name, VERBS) or "see: shipworthy --help")
        command: click.Command = import_module(f"shipworthy.cli.{cmd_name}").command
        command.help = command.help or VERBS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, VERBS))
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.ljust(width), told) for verb, told in verbs.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def group() -> None:
    """Shipworthy takes a table to a model in production, and proves that the model deserves to be there."""


def misused(error: click.ClickException) -> Misuse:
    """A wrong verb, option or argument as problem, where and hint."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "shipworthy"
    near = getattr(error, "possibilities", None) or ()
    problem = error.message if near else error.format_message()
    hint = f"did you mean {near[0]}?" if near else _folder_hint(problem, context) or f"see: {path} --help"
    return Misuse(problem.rstrip("."), where=path, hint=hint)


def _folder_hint(problem: str, context: click.Context | None) -> str:
    """How a project's folder is named, where one was given as an argument; else empty."""
    extra = re.search(r"unexpected extra argument \((.+)\)", problem)
    takes = {name for param in context.command.params for name in param.opts} if context else set()
    if not (extra and context and "-p" in takes):
        return ""
    alone = not any(isinstance(param, click.Argument) for param in context.command.params)
    meant = alone or Path(extra[1]).is_dir()
    return f"name the project's folder so: shipworthy {context.info_name} -p {extra[1]}" if meant else ""


def main() -> None:
    """Run the command line; every error a user can meet ends in problem, where, hint.

    Warnings of libraries speak to whoever writes Python, so they are shown only when asked for: python -W default.
    """
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            group(prog_name="shipworthy", standalone_mode=False)
    except ShipworthyError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"error: {misused(error)}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; nothing was half-written, and the next run goes on from the last finished step", err=True)
        sys.exit(2)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except OSError as error:
        told = Misuse(error.strerror or str(error), where=str(error.filename or "the operating system"),
                      hint="check the disk and its permissions, then run it again; nothing was half-written")
        click.echo(f"error: {told}", err=True)
        sys.exit(2)
    except MemoryError:
        told = Misuse("the machine ran out of memory", where="shipworthy",
                      hint="read a part of the table, drawn at random: [[source]] rows = 100000, or --rows 100000")
        click.echo(f"error: {told}", err=True)
        sys.exit(2)
    except FAULTS as error:
        fault(error)
        sys.exit(2)


def fault(error: Exception) -> None:
    """Say that the program itself is at fault, with all that a report of it needs."""
    traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    told = Misuse(f"the program failed: {type(error).__name__}: {error}", where=f"{last.name}, line {last.lineno}",
                  hint="please report this with the lines above; nothing was half-written")
    click.echo(f"error: {told}", err=True)
