"""The ``voicebot`` command. Each command reads the settings once and says plainly what went wrong."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console

from voicebot.core.settings import Settings, SettingsError, load_settings
from voicebot.core.telemetry import configure_logging
from voicebot.runtime.commands.audit import commands as audit_commands
from voicebot.runtime.commands.eval import commands as eval_commands
from voicebot.runtime.commands.kb import commands as kb_commands

app = typer.Typer(
    help="A phone server for customer service.", no_args_is_help=True, pretty_exceptions_enable=False
)
db = typer.Typer(help="The database: state and migrations.", no_args_is_help=True)
twilio = typer.Typer(help="A Twilio number: connect it, test it.", no_args_is_help=True)
models = typer.Typer(help="Speech models: which there are, pull, check.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(twilio, name="twilio")
app.add_typer(models, name="models")
app.add_typer(audit_commands, name="audit")
app.add_typer(eval_commands, name="eval")
app.add_typer(kb_commands, name="kb")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

P = ParamSpec("P")
R = TypeVar("R")

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

JsonFlag = Annotated[bool, typer.Option("--json", help="for machines: one JSON document")]


def says_why(command: Callable[P, R]) -> Callable[P, R]:
    """Turns the errors that a person can mend into one line and exit status 2."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except typer.Exit:
            raise  # no error; naming those takes a second of imports
        except _mendable() as error:
            err.print(f"voicebot: {error}", style="red", markup=False)
            raise typer.Exit(2) from error

    return wrapped


def _mendable() -> tuple[type[Exception], ...]:
    from voicebot.audio.engines.models.errors import ModelsError
    from voicebot.audio.engines.types import EngineUnavailable
    from voicebot.channels.twilio.rest import TwilioError
    from voicebot.console.targets import TargetsError
    from voicebot.core.store.database import DatabaseDown
    from voicebot.core.store.embedded import EmbeddedPostgresError
    from voicebot.core.store.keys import KeysError
    from voicebot.core.store.migrate import SchemaMismatch
    from voicebot.core.store.switches import UnknownSwitch
    from voicebot.dialogue.actions.tool import ToolError
    from voicebot.dialogue.deployment import DeploymentError
    from voicebot.handoff.outbound import OutboundError
    from voicebot.handoff.patterns import PatternsError
    from voicebot.handoff.people import PeopleError
    from voicebot.proof.ears.ears import EarsError
    from voicebot.proof.loadtest.plan import LoadError
    from voicebot.proof.replay.errors import ReplayError
    from voicebot.proof.simulation.phonecall import PhoneCallError
    from voicebot.proof.simulation.script import ScriptError
    from voicebot.runtime.commands.dial import DialRefused
    from voicebot.runtime.desk import DeskError
    from voicebot.runtime.own_server import OwnServerError
    from voicebot.runtime.supervisor import ServeError
    from voicebot.safety.policy import PolicyError

    return (
        SettingsError,
        DialRefused,
        OutboundError,
        EngineUnavailable,
        ModelsError,
        TwilioError,
        DatabaseDown,
        EmbeddedPostgresError,
        KeysError,
        SchemaMismatch,
        UnknownSwitch,
        DeploymentError,
        PolicyError,
        ToolError,
        ServeError,
        DeskError,
        PatternsError,
        PeopleError,
        TargetsError,
        OwnServerError,
        EarsError,
        LoadError,
        PhoneCallError,
        ReplayError,
        ScriptError,
    )


@app.command()
@says_why
def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one", min=0, max=65535)] = 8080,
    deployment: Annotated[Path | None, typer.Option(help="folder with pipelines/, tools/, business/")] = None,
    workers: Annotated[int, typer.Option(help="call nodes sharing the port", min=1, max=64)] = 1,
    insecure_local: Annotated[
        bool, typer.Option("--insecure-local", help="accept unsigned webhooks and media, from loopback only")
    ] = False,
    desk_port: Annotated[
        int | None, typer.Option(help="run the agents' desk too, on this port; 0 takes a free one")
    ] = None,
    stt: Annotated[str | None, typer.Option(help="auto | whisper:NAME_OR_DIR | sphinx")] = None,
    tts: Annotated[str | None, typer.Option(help="auto | piper:VOICE_OR_PATH | espeak")] = None,
) -> None:
    """Run the server: database, engines, call nodes."""
    from voicebot.runtime.supervisor import ServeError, Supervisor

    configure_logging("supervisor")
    if insecure_local and host not in LOOPBACK:
        raise ServeError(
            f"--insecure-local refuses to listen on {host}: unsigned calls would come from anywhere. "
            "Use --host 127.0.0.1, or set TWILIO_AUTH_TOKEN and drop the flag"
        )
    overrides = _given(stt=stt, tts=tts, deployment=str(deployment) if deployment else None)
    settings = load_settings(**overrides)
    if not insecure_local and settings.twilio_auth_token is None:
        raise ServeError(
            "TWILIO_AUTH_TOKEN is not set, so no webhook could be checked. Set it (Twilio console, "
            "'Account info'), or use --insecure-local to try things on this machine"
        )
    supervisor = Supervisor(
        settings,
        host=host,
        port=port,
        workers=workers,
        insecure_local=insecure_local,
        desk_port=desk_port,
        overrides=overrides,
        on_ready=lambda s: _banner(s, settings, insecure_local),
    )
    asyncio.run(supervisor.run())


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _banner(supervisor: Any, settings: Settings, insecure_local: bool) -> None:
    url = settings.public_url or supervisor.local_url
    out.print(f"[bold]voicebot is ready[/bold] after {supervisor.started_s:.1f} s at {supervisor.local_url}")
    for note in supervisor.notes:
        out.print(f"  {note}", markup=False)
    if supervisor.database_dir is not None:
        out.print(f"  database: embedded, in {supervisor.database_dir}", markup=False)
    if supervisor.new_key is not None:
        out.print(
            f"  [yellow]a master key was made: {supervisor.new_key}. Back it up: without it nothing stored "
            "can be read[/yellow]"
        )
    out.print(f"  open      {supervisor.local_url}/ (talk to it), /docs (the REST API), /readyz, /metrics")
    if supervisor.desk_url is not None:
        out.print(f"  desk      {supervisor.desk_url}/desk (for agents)")
    out.print("  try it    voicebot call --url " + supervisor.local_url)
    if insecure_local:
        out.print("  [yellow]insecure-local: unsigned webhooks are accepted from this machine[/yellow]")
    elif settings.public_url is None:
        out.print("  [yellow]VOICEBOT_PUBLIC_URL is not set: Twilio cannot reach this address[/yellow]")
    out.print(f"  a number  voicebot twilio connect +1...   (voice webhook: POST {url}/twilio/voice)")
    if settings.fallback_number is None:
        out.print("  [yellow]VOICEBOT_FALLBACK_NUMBER is not set: no person can be dialled[/yellow]")
    sys.stdout.flush()


@app.command()
@says_why
def engines(
    stt: Annotated[str | None, typer.Option(help="auto | whisper:NAME_OR_DIR | sphinx")] = None,
    tts: Annotated[str | None, typer.Option(help="auto | piper:VOICE_OR_PATH | espeak")] = None,
    sockets: Annotated[Path, typer.Option(help="folder for the engines' sockets")] = Path(
        ".voicebot/engines"
    ),
) -> None:
    """Run only the speech engines, each in its own process, until interrupted."""
    from voicebot.runtime.engines import run_engines

    configure_logging("engines")
    asyncio.run(run_engines(load_settings(**_given(stt=stt, tts=tts)), sockets, out))


@app.command()
@says_why
def call(
    script: Annotated[Path | None, typer.Argument(help="a caller's script (YAML)")] = None,
    url: Annotated[str | None, typer.Option(help="a running server; else one is started")] = None,
    stt: Annotated[str | None, typer.Option(help="for the server that is started")] = None,
    tts: Annotated[str | None, typer.Option(help="for the server that is started")] = None,
    save: Annotated[Path | None, typer.Option(help="folder for the call's plain copies")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Phone a server through the local Twilio with a synthetic caller; transcript and timings live."""
    from voicebot.runtime.phone import phone, show_report

    configure_logging("call")
    console = None if as_json else out
    report = asyncio.run(phone(script, url=url, save=save, console=console, **_given(stt=stt, tts=tts)))
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        show_report(report, out)
    raise typer.Exit(0 if report.result.ok else 1)


@app.command()
@says_why
def load(
    url: Annotated[str, typer.Option(help="the server")] = "http://127.0.0.1:8080",
    calls: Annotated[int | None, typer.Option(help="so many at once")] = None,
    ramp: Annotated[str | None, typer.Option(help="FROM:TO:STEP in place of --calls, e.g. 5:40:5")] = None,
    hold: Annotated[float, typer.Option(help="seconds that each step counts")] = 60.0,
    mix: Annotated[Path | None, typer.Option(help="who phones; else recordings/load/mix.yaml")] = None,
    scripts: Annotated[Path | None, typer.Option(help="callers' scripts of a folder, each as often")] = None,
    lines: Annotated[Path | None, typer.Option(help="recorded lines; else recordings/lines")] = None,
    processes: Annotated[int | None, typer.Option(help="of callers; else one per 50 calls", min=1)] = None,
    seed: Annotated[int, typer.Option(help="draws who phones when")] = 1,
    html: Annotated[Path | None, typer.Option(help="write the report's page here")] = None,
    save: Annotated[Path | None, typer.Option(help="write the report as JSON here")] = None,
    note: Annotated[str, typer.Option(help="stands in the report: what ran beside it, which server")] = "",
    public_url: Annotated[
        str | None, typer.Option(help="what the server checks signatures for; else VOICEBOT_PUBLIC_URL")
    ] = None,
    own: Annotated[
        bool, typer.Option("--i-own-this-server", help="allow a server that is not this machine")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Phone a server with many callers at once: what they hear, what it costs, where the knee is."""
    from voicebot.runtime.commands import load as commands

    made = commands.load(
        load_settings(), url, None if as_json else out, calls=calls, ramp=ramp, hold_s=hold, mix=mix,
        scripts=scripts, lines=lines, processes=processes, seed=seed, own=own, public_url=public_url,
        note=note,
    )  # fmt: skip
    commands.save(made, page_to=html, json_to=save)
    if as_json:
        print(json.dumps(made.as_dict(), indent=2))
    else:
        commands.show(made, out)
    raise typer.Exit(0 if made.valid else 1)


@app.command()
@says_why
def replay(
    calls: Annotated[list[str], typer.Argument(help="recordings (.vbrec), folders, conversation ids")],
    real_time: Annotated[
        bool, typer.Option("--real-time", help="over the wire, to --url or a server that is started")
    ] = False,
    url: Annotated[str | None, typer.Option(help="with --real-time: a running server")] = None,
    engines: Annotated[
        str, typer.Option(help="local (today's) | recorded (the recording's answers)")
    ] = "local",
    stt: Annotated[str | None, typer.Option(help="another recogniser than the recording's")] = None,
    tts: Annotated[str | None, typer.Option(help="another voice than the recording's")] = None,
    live_tools: Annotated[
        bool,
        typer.Option("--live-tools", help="ask the shop, not the recording; a scratch one where it is ours"),
    ] = False,
    live_model: Annotated[
        bool, typer.Option("--live-model", help="ask the language model, not the recording")
    ] = False,
    until: Annotated[int | None, typer.Option(help="leave the call when this turn is over", min=1)] = None,
    since: Annotated[int, typer.Option("--from", help="tell of turns from this one on", min=1)] = 1,
    tolerance: Annotated[
        str, typer.Option(help="what may differ: words=0.2,boundary_ms=500,latency_ms=800,decisions=1,...")
    ] = "",
    key: Annotated[Path | None, typer.Option(help="a file with the recordings' key (base64)")] = None,
    log: Annotated[Path | None, typer.Option(help="a folder for the event logs")] = None,
    turns: Annotated[bool, typer.Option("--turns", help="every turn with its waterfall")] = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="for programs: how far it is, as JSON on the standard error")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run recorded calls again through today's code; exit status 1 if one differs beyond tolerance."""
    from voicebot.proof.replay.quiet import quietly

    quietly("replay")  # before Pipecat is imported, which says hello
    from voicebot.proof.replay.compare import Tolerance
    from voicebot.proof.replay.errors import ReplayError
    from voicebot.proof.replay.run import Options
    from voicebot.runtime.commands.replay import Asked
    from voicebot.runtime.commands.replay import replay as run_again

    if engines not in {"local", "recorded"}:
        raise ReplayError(f"--engines takes local or recorded, not {engines!r}")
    try:
        within = Tolerance.parse(tolerance)
    except ValueError as error:
        raise ReplayError(f"--tolerance: {error}") from error
    options = Options(
        engines="recorded" if engines == "recorded" else "local",
        stt=stt,
        tts=tts,
        live_tools=live_tools,
        live_model=live_model,
        until=until,
        since=since,
        tolerance=within,
    )
    asked = Asked(options, key, as_json, turns, log, real_time, url, progress)
    raise typer.Exit(0 if run_again(calls, load_settings(), asked, out) else 1)


@contextmanager
def _database_url(settings: Settings) -> Generator[str]:
    from voicebot.core.store.embedded import EmbeddedPostgres

    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    postgres = EmbeddedPostgres.attach(settings.data_dir)
    try:
        yield postgres.url
    finally:
        postgres.stop()


@db.command("migrate")
@says_why
def db_migrate() -> None:
    """Bring the database to the schema that this version needs."""
    from voicebot.core.store.migrate import migrate

    settings = load_settings()
    with _database_url(settings) as url:
        applied = migrate(url)
        asyncio.run(_adopt(url, settings))
    out.print("applied: " + ", ".join(applied) if applied else "nothing to do", markup=False)


async def _adopt(url: str, settings: Settings) -> None:
    """Rows that are older than the audit's chain are sealed as they are."""
    from voicebot.core.store.chain.adopting import adopt
    from voicebot.core.store.chain.linking import Linker
    from voicebot.core.store.database import Database
    from voicebot.core.store.keys import KeyRing

    keys = KeyRing.from_settings(settings)
    linker = Linker(keys)
    database = await Database.open(url, max_size=1, timeout_s=60, at_commit=linker)
    try:
        async with database.transaction() as tx:
            await keys.verify(tx)
        await adopt(database, linker)
    finally:
        await database.close()


@db.command("status")
@says_why
def db_status(as_json: JsonFlag = False) -> None:
    """Which schema version the database has, and which this version needs."""
    from voicebot.core.store.migrate import expected_version, found_version

    with _database_url(load_settings()) as url:
        has, needs = found_version(url), expected_version()
    if as_json:
        print(json.dumps({"has": has, "needs": needs}))
    else:
        out.print(f"database: {has or 'empty'}; needed: {needs}", markup=False)
    raise typer.Exit(0 if has == needs else 1)


_Intent = Annotated[str | None, typer.Option("--intent", help="only this intent")]
_Tool = Annotated[str | None, typer.Option("--tool", help="only this tool")]
_Route = Annotated[str | None, typer.Option("--route", help="only this writer of answers")]
_By = Annotated[str, typer.Option(help="who, for the audit")]


@app.command()
@says_why
def desk(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one", min=0, max=65535)] = 8090,
    api: Annotated[str, typer.Option(help="a node's address")] = "http://127.0.0.1:8080",
    insecure_local: Annotated[
        bool, typer.Option("--insecure-local", help="ask for no key, from loopback only")
    ] = False,
) -> None:
    """Run the agents' desk: who waits, what is being said, what to do next."""
    from voicebot.runtime.desk import run_desk

    configure_logging("desk")
    asyncio.run(run_desk(load_settings(), host=host, port=port, api_url=api, insecure_local=insecure_local))


@app.command()
@says_why
def off(intent: _Intent = None, tool: _Tool = None, route: _Route = None, by: _By = "operator") -> None:
    """Switch the bot off, or one intent, tool or route: callers go to people, on all nodes within 5 s."""
    from voicebot.runtime.commands.switch import switch

    with _database_url(settings := load_settings()) as url:
        switch(settings, url, out, on=False, by=by, intent=intent, tool=tool, route=route)


@app.command()
@says_why
def on(intent: _Intent = None, tool: _Tool = None, route: _Route = None, by: _By = "operator") -> None:
    """Switch the bot on again, or one intent, tool or route."""
    from voicebot.runtime.commands.switch import switch

    with _database_url(settings := load_settings()) as url:
        switch(settings, url, out, on=True, by=by, intent=intent, tool=tool, route=route)


@app.command("people")
@says_why
def people_command(
    token: Annotated[str | None, typer.Option(help="print the API key of this agent, nothing else")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Who takes over from the bot: teams and who is there now, numbers that may be dialled, agents."""
    from voicebot.runtime.commands import people

    settings = load_settings()
    if token is not None:
        typer.echo(people.key_of(settings, token))
    elif as_json:
        typer.echo(json.dumps(people.people_now(settings), indent=2))
    else:
        people.show(settings)


@app.command("switches")
@says_why
def switches_off(as_json: JsonFlag = False) -> None:
    """What is switched off, by whom and since when."""
    from voicebot.runtime.commands.switch import show

    with _database_url(load_settings()) as url:
        show(url, out, as_json=as_json)


@app.command()
@says_why
def dial(
    number: Annotated[str, typer.Argument(help="whom to call, E.164")],
    purpose: Annotated[str, typer.Option(help="what for, of business/outbound.yaml")],
    consent: Annotated[
        bool, typer.Option("--consent", help="the called person agreed to be called for that")
    ] = False,
    key: Annotated[str | None, typer.Option(help="the same key again is the same call")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Order a call: a running server makes it, when people are called. What came of it: GET /api/calls/ID."""
    from voicebot.runtime.commands.dial import dial as order_call

    settings = load_settings()
    with _database_url(settings) as url:
        stands = asyncio.run(order_call(url, settings, to=number, purpose=purpose, consent=consent, key=key))
    if as_json:
        print(json.dumps(stands, indent=2, default=str))
    else:
        out.print(f"{stands['id']}: {stands['status']}, to be made at {stands['next_at']}", markup=False)


@twilio.command("connect")
@says_why
def twilio_connect(number: Annotated[str, typer.Argument(help="your Twilio number, E.164")]) -> None:
    """Point a number's webhooks at this server (VOICEBOT_PUBLIC_URL)."""
    from voicebot.channels.twilio.connect import connect

    for line in asyncio.run(connect(load_settings(), number)):
        out.print(line, markup=False)


@twilio.command("selftest")
@says_why
def twilio_selftest(
    number: Annotated[str, typer.Argument(help="your Twilio number, E.164")],
    to: Annotated[str | None, typer.Option(help="a phone that may ring, E.164")] = None,
    port: Annotated[int, typer.Option(help="where VOICEBOT_PUBLIC_URL leads on this machine")] = 8080,
) -> None:
    """Check on a real number what no Twilio document promises. Stop the server first."""
    from voicebot.channels.twilio.selftest import selftest

    settings = load_settings()

    async def run() -> bool:
        fine = True
        async for check in selftest(settings, number, to=to, port=port):
            fine = fine and check.ok
            out.print(check.line(), markup=False)
        return fine

    raise typer.Exit(0 if asyncio.run(run()) else 1)


@models.command("list")
@says_why
def models_list(as_json: JsonFlag = False) -> None:
    """Every model by name: size, licence, what is on this machine and where."""
    from voicebot.runtime.models import rows, show_rows, store_of

    found = rows(store_of(load_settings()))
    if as_json:
        print(json.dumps([row.as_dict() for row in found], indent=2))
    else:
        show_rows(found, out)


@models.command("pull")
@says_why
def models_pull(
    name: Annotated[str, typer.Argument(help="as `voicebot models list` shows it, or any Piper voice")],
    force: Annotated[bool, typer.Option("--force", help="even if it is here already")] = False,
) -> None:
    """Fetch a model into the data directory; goes on where an earlier pull broke off."""
    from voicebot.runtime.models import pull_model

    try:
        pull_model(name, load_settings(), out, force=force)
    except KeyboardInterrupt:
        err.print("voicebot: stopped; what came is kept, the next pull goes on there")
        raise typer.Exit(130) from None


@models.command("path")
@says_why
def models_path(name: Annotated[str, typer.Argument(help="a model's name")]) -> None:
    """Where a model lies; exit status 1 if it is not here."""
    from voicebot.runtime.models import store_of

    _, found = store_of(load_settings()).named(name)
    if found is None or not found.complete:
        lacks = f"incomplete ({found.path} lacks {', '.join(found.missing)})" if found else ""
        state = lacks or "not on this machine"
        err.print(f"voicebot: {name} is {state}: voicebot models pull {name}", style="red", markup=False)
        raise typer.Exit(1)
    print(found.path)


@models.command("verify")
@says_why
def models_verify(
    name: Annotated[str | None, typer.Argument(help="a model's name; all that are here")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare every byte with the known checksums; exit status 1 if one is not well, or not here."""
    from voicebot.runtime.models import show_verdicts, store_of, verdict_dict, verify_models

    verdicts = verify_models(name, store_of(load_settings()))
    if as_json:
        print(json.dumps([verdict_dict(verdict) for verdict in verdicts], indent=2))
    else:
        show_verdicts(verdicts, out)
        if not verdicts:
            out.print(f"{name} is not on this machine" if name else "no models on this machine", markup=False)
    bad = any(verdict.state.bad for verdict in verdicts) or (name is not None and not verdicts)
    raise typer.Exit(1 if bad else 0)


@app.command()
@says_why
def doctor(
    policy: Annotated[
        bool, typer.Option("--policy", help="the policy instead: matrix, proof, policy tests")
    ] = False,
    deployment: Annotated[Path | None, typer.Option(help="with --policy: its folder")] = None,
    as_json: JsonFlag = False,
) -> None:
    """What is set (secrets masked), what works, what is missing and how to mend it."""
    if policy:
        from voicebot.runtime.commands.policy import WIDTH, examine_policy

        found = examine_policy(deployment or load_settings().deployment)
        if as_json:
            print(json.dumps(found.as_dict(), indent=2))
        else:
            found.show(Console(highlight=False, width=WIDTH))
        raise typer.Exit(0 if found.ok else 1)
    from voicebot.runtime.doctor import examine

    try:
        settings, wrong = load_settings(), None
    except SettingsError as error:  # then it looks at everything else with the defaults
        settings, wrong = Settings.model_construct(), str(error)
    report = examine(settings, wrong)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        report.show(out)
    raise typer.Exit(0 if report.ok else 1)


def main() -> None:
    """Console script."""
    app()


if __name__ == "__main__":
    main()
