"""`antiphon`: declares the commands and their options; each command's code is in its own module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from antiphon.settings import Settings

app = typer.Typer(
    name="antiphon",
    help="Heavy speech models for many people at once, on the machine you have.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SAY_OUTPUT = "File to write; its ending is the format. - for standard output. A folder for chapters."
TRANSCRIBE_OUTPUT = "File to write: .txt, .srt, .vtt or .json. Without it the text is printed."
IMAGINE_OUTPUT = "File to write: .png, .jpg or .webp; several get numbers."
DataDir = Annotated[Path, typer.Option("--data-dir", envvar="ANTIPHON_DATA_DIR", help="As given to `antiphon serve`.")]
ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", envvar="ANTIPHON_MODELS_DIR", help="As given to `antiphon serve`.")
]
Server = Annotated[
    str, typer.Option("--server", envvar="ANTIPHON_SERVER", help="Address of a running server; tried first.")
]
DATA_DIR = Path("antiphon-data")
Store = Annotated[str, typer.Option("--store", envvar="ANTIPHON_STORE", help="As given to `antiphon serve`.")]
SERVER = "http://127.0.0.1:7860"
#: `serve` takes its options from the settings class, which this module does not import.
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=PASS_ON)
def serve(ctx: typer.Context) -> None:
    """Start the server; its own --help has every option."""
    from antiphon.cli import serve as command

    command.main(ctx.args)


@app.command()
def say(
    text: Annotated[str | None, typer.Argument(help="The text, or - to read it from standard input.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help=SAY_OUTPUT)] = None,
    file: Annotated[Path | None, typer.Option(help="Speak this text file: UTF-8, UTF-16 or GB18030.")] = None,
    chapters: Annotated[bool, typer.Option("--chapters", help="A book: one audio file for each chapter.")] = False,
    format: Annotated[str, typer.Option(help="Of the chapters: mp3, opus, aac, flac or wav.")] = "mp3",
    voice: Annotated[str | None, typer.Option(help="A voice of the model.")] = None,
    model: Annotated[str | None, typer.Option(help="A model; without it the best there is.")] = None,
    emotion: Annotated[str | None, typer.Option(help="happy, sad, angry, neutral …")] = None,
    speed: Annotated[float, typer.Option(help="0.25 to 4.")] = 1.0,
    language: Annotated[str | None, typer.Option(help="en, zh …; without it the text decides.")] = None,
    server: Server = SERVER,
    data_dir: DataDir = DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """Speak a text into a file, with or without a server."""
    from antiphon.cli import say as command

    request = {"voice": voice, "model": model, "emotion": emotion, "speed": speed, "language": language}
    if chapters:
        from antiphon.cli import book

        book.main(command.book_of(file, text), output or command.folder_of(file), command.checked(format), request,
                  server, data_dir, models_dir)  # fmt: skip
    else:
        command.main(command.text_of(text, file), output, request, server, data_dir, models_dir)


@app.command()
def read(
    text: Annotated[str | None, typer.Argument(help="The text, or - to read it from standard input.")] = None,
    file: Annotated[Path | None, typer.Option(help="Read this text file: UTF-8, UTF-16 or GB18030.")] = None,
    voice: Annotated[str | None, typer.Option(help="A voice of the model.")] = None,
    model: Annotated[str | None, typer.Option(help="A model; without it the best there is.")] = None,
    language: Annotated[str | None, typer.Option(help="en, zh …; without it the text decides.")] = None,
    phonemes: Annotated[bool, typer.Option("--phonemes", help="How the model says it, in its own letters.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For another program, with the text of each part.")] = False,
    server: Server = SERVER,
    data_dir: DataDir = DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """Print what would be said for a text, with or without a server."""
    from antiphon.cli import read as command
    from antiphon.cli import say

    request = {"voice": voice, "model": model, "language": language, "phonemes": phonemes}
    command.main(say.text_of(text, file), request, server, data_dir, models_dir, as_json=as_json)


@app.command()
def transcribe(
    file: Annotated[Path, typer.Argument(help="A recording: WAV, MP3, FLAC, Ogg, Opus, AAC, M4A or WebM.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help=TRANSCRIBE_OUTPUT)] = None,
    model: Annotated[str | None, typer.Option(help="A model; without it the best there is.")] = None,
    language: Annotated[str | None, typer.Option(help="Of what is said: en, zh …; without it, found out.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Spelling and style to go by.")] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Write it down in English.")] = False,
    server: Server = SERVER,
    data_dir: DataDir = DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """Write down what is said in a recording, with or without a server."""
    from antiphon.cli import transcribe as command

    fields = {"model": model, "language": language, "prompt": prompt}
    request = {name: value for name, value in fields.items() if value is not None}
    command.main(file, output, request, server, data_dir, models_dir, translate=translate)


@app.command()
def imagine(
    prompt: Annotated[str, typer.Argument(help="What is to be seen.")],
    output: Annotated[Path, typer.Option("-o", "--output", help=IMAGINE_OUTPUT)] = Path("image.png"),
    size: Annotated[str | None, typer.Option(help="512x512 and the like; without it the model's own.")] = None,
    n: Annotated[int, typer.Option("--n", help="Images, 1 to 10.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same image.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of denoising; without it the model's own.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely the prompt is followed: 0 to 30.")] = None,
    negative: Annotated[str | None, typer.Option(help="What is not to be seen.")] = None,
    model: Annotated[str | None, typer.Option(help="A model; without it the best that the server has.")] = None,
    server: Server = SERVER,
    data_dir: DataDir = DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """Draw images of a prompt, with or without a server."""
    from antiphon.cli import imagine as command

    fields = {"size": size, "n": n, "seed": seed, "steps": steps, "guidance": guidance, "negative_prompt": negative}
    request = {name: value for name, value in {**fields, "model": model}.items() if value is not None}
    command.main(prompt, output, request, server, data_dir, models_dir)


@app.command()
def pull(
    models: Annotated[list[str], typer.Argument(help="Models to fetch; `antiphon models` lists them.")],
    output: Annotated[Path | None, typer.Option(help="Folder for models; without it the server's own.")] = None,
    hub: Annotated[
        Literal["hub", "modelscope"],
        typer.Option(envvar="ANTIPHON_HUB", help="Who is asked first: hub (or HF_ENDPOINT), or modelscope."),
    ] = "hub",
    export: Annotated[Path | None, typer.Option(help="Also copy it here, to be carried to another machine.")] = None,
    take_in: Annotated[
        Path | None, typer.Option("--import", help="Take it from a folder that --export made; needs no network.")
    ] = None,
    data_dir: DataDir = DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """Fetch a model's files, verified and resumable."""
    from antiphon.cli import pull as command

    folder = output or models_dir or data_dir / "cache_hub" / "models"
    command.main(models, folder, hub, export, take_in)


@app.command()
def models(data_dir: DataDir = DATA_DIR, models_dir: ModelsDir = None) -> None:
    """List the models and whether they can run here."""
    from antiphon.cli import list_models as command

    command.models(models_dir or data_dir / "cache_hub" / "models")


@app.command()
def voices(
    model: Annotated[str | None, typer.Option(help="Only this model's.")] = None,
    language: Annotated[str | None, typer.Option(help="Only those that speak it.")] = None,
    available: Annotated[
        bool, typer.Option("--available", help="Instead, the voices of Piper that can be pulled.")
    ] = False,
    server: Server = SERVER,
    data_dir: DataDir = DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """List the voices of a server or of the models here, or those that can be pulled."""
    from antiphon.cli import list_models as command

    if available:
        command.available(language, models_dir or data_dir / "cache_hub" / "models")
        return
    command.voices(model, language, server, data_dir, models_dir)


@app.command()
def doctor(
    check: Annotated[bool, typer.Option("--check", help="Instead, read all data and look for damage.")] = False,
    data_dir: DataDir = DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """What this machine can run, and why not the rest; with --check, whether the data is sound."""
    if check:
        from antiphon.cli import check as checking
        from antiphon.settings import load

        checking.main(load(flags={"data_dir": data_dir}), typer.echo)
        return
    from antiphon.cli import doctor as command

    command.main(data_dir, models_dir or data_dir / "cache_hub" / "models")


keys = typer.Typer(help="Who may use the server; the first key closes it to everybody else.", no_args_is_help=True)
app.add_typer(keys, name="keys")


def _where(data_dir: Path, store: str) -> Settings:
    from antiphon.settings import load

    return load(flags={"data_dir": data_dir, "store": store})


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Whose it is, or what for.")],
    priority: Annotated[
        str, typer.Option("--class", help="The highest class of its requests: vip, normal, bulk.")
    ] = "normal",
    admin: Annotated[bool, typer.Option("--admin", help="May see and change everybody's work.")] = False,
    quota: Annotated[float | None, typer.Option("--quota-seconds", help="Seconds of audio a day.")] = None,
    data_dir: DataDir = DATA_DIR,
    store: Store = "sqlite",
) -> None:
    """Make a key; it is the last line printed, and shown only now."""
    from antiphon.cli import keys as command

    command.create(_where(data_dir, store), name, priority, admin=admin, quota=quota)  # type: ignore[arg-type]  # checked there


@keys.command("list")
def list_keys(data_dir: DataDir = DATA_DIR, store: Store = "sqlite") -> None:
    """The keys, and how much audio each has had today."""
    from antiphon.cli import keys as command

    command.show(_where(data_dir, store))


@keys.command("revoke")
def revoke_key(
    name: Annotated[str, typer.Argument(help="Its name or id.")], data_dir: DataDir = DATA_DIR, store: Store = "sqlite"
) -> None:
    """Take a key away; a running server follows within a second."""
    from antiphon.cli import keys as command

    command.revoke(_where(data_dir, store), name)


jobs = typer.Typer(help="The jobs of a running server.", no_args_is_help=True)
app.add_typer(jobs, name="jobs")
JobId = Annotated[str, typer.Argument(help="As `antiphon jobs list` shows it.")]


@jobs.command("list")
def jobs_list(
    status: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 20,
    server: Server = SERVER,
) -> None:
    """Your jobs, newest first."""
    from antiphon.cli import jobs as command

    command.listing(server, status, limit)


@jobs.command("watch")
def jobs_watch(job: JobId, server: Server = SERVER) -> None:
    """A progress bar until the job's end."""
    from antiphon.cli import jobs as command

    command.watch(server, job)


@jobs.command("cancel")
def jobs_cancel(job: JobId, server: Server = SERVER) -> None:
    """Cancel a job, wherever it is."""
    from antiphon.cli import jobs as command

    command.change(server, "DELETE", job)


@jobs.command("retry")
def jobs_retry(job: JobId, server: Server = SERVER) -> None:
    """Queue a failed or cancelled job again."""
    from antiphon.cli import jobs as command

    command.change(server, "POST", f"{job}/retry")


queue = typer.Typer(help="The queue of a running server; a pause outlives restarts.", no_args_is_help=True)
app.add_typer(queue, name="queue")
OneJob = Annotated[str | None, typer.Option("--job", help="Only this job.")]
OneClient = Annotated[str | None, typer.Option("--client", help="Only this client: the id of a key, or an address.")]


@queue.command("show")
def queue_show(server: Server = SERVER) -> None:
    """The queue of all clients, by expected end, and what is paused."""
    from antiphon.cli import queue as command

    command.show(server)


@queue.command("pause")
def queue_pause(job: OneJob = None, client: OneClient = None, server: Server = SERVER) -> None:
    """Hand out nothing of a job, of a client or of anything; what runs goes on."""
    from antiphon.cli import queue as command

    command.change(server, "pause", job, client)


@queue.command("resume")
def queue_resume(job: OneJob = None, client: OneClient = None, server: Server = SERVER) -> None:
    """End what the same pause began."""
    from antiphon.cli import queue as command

    command.change(server, "resume", job, client)


@app.command()
def stats(
    server: Server = SERVER, as_json: Annotated[bool, typer.Option("--json", help="For another program.")] = False
) -> None:
    """The last day of a running server: waits, times, load, and how many workers it needs."""
    from antiphon.cli import stats as command

    command.main(server, as_json)


@app.command()
def backup(
    to: Annotated[Path, typer.Argument(help="A new folder.")],
    output: Annotated[bool, typer.Option("--output", help="The finished files too, not only jobs and voices.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Copy jobs and voices, consistently, while a server runs or not."""
    from antiphon.cli import backup as command

    command.main(data_dir, to, output)


@app.command()
def version() -> None:
    """Print the version."""
    from antiphon.version import __version__

    typer.echo(__version__)


def main() -> None:
    from antiphon.cli import exit_codes
    from antiphon.domain.errors import AntiphonError

    try:
        app()
    except AntiphonError as e:
        typer.echo(f"antiphon: {e.message}", err=True)
        sys.exit(exit_codes.of(e))
    except ImportError as e:
        fix = "install Antiphon again, and the library if the message names one of the system's"
        typer.echo(f"antiphon: a part of Antiphon cannot be loaded: {e}; {fix}", err=True)
        sys.exit(exit_codes.CANNOT_LOAD)
    except OSError as e:
        if (said := exit_codes.translated(e)) is None:
            raise
        typer.echo(f"antiphon: {said.message}", err=True)
        sys.exit(exit_codes.of(said))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
