"""Response schemas: the JSON that the routes answer, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from antiphon.api.bodies import PriorityName


class TtsAnswer(BaseModel):
    id: str
    status: Literal["succeeded"]
    audio_path: str = Field(examples=["/output/speech_01k….wav"])
    duration: float = Field(description="Seconds of audio.")
    cached: bool = Field(description="Whether all of it came from the cache.")
    warnings: list[str] | None = Field(None, description="What the model cannot do and left out.")


class Accepted(BaseModel):
    id: str
    status: Literal["queued", "running", "succeeded"]
    position: int | None = Field(description="Place in line; 1 is next, 0 is running.")
    eta: float | None = Field(description="Predicted seconds until the end.")
    status_path: str


class Status(BaseModel):
    id: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float = Field(ge=0, le=1)
    position: int | None
    eta: float | None
    audio_path: str | None
    error: str | None
    warnings: list[str] = Field(description="What the model cannot do and left out.")


class ModelHealth(BaseModel):
    name: str
    state: str = Field(description="missing, downloading, starting, loading, warming, ready, degraded or unavailable.")
    phase: str | None
    bytes_done: int | None
    bytes_total: int | None
    eta: float | None
    computation: str = Field(description="How its engine computes here, if it says so: Kokoro's graph and threads.")
    error: str | None
    hint: str | None = Field(description="The exact command that would help.")


class Health(BaseModel):
    status: Literal["ok", "degraded", "starting", "draining"]
    concurrent: int = Field(description="Units that run now.")
    queued: int = Field(description="Jobs that wait.")
    model_loaded: bool = Field(description="Whether some model can speak.")
    model: str | None
    models: list[ModelHealth]
    network: Literal["online", "offline", "unknown"]
    version: str
    storage: str | None = Field(description="With shared object storage: ok, or why its last request failed.")


class ErrorText(BaseModel):
    error: str


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class ErrorObject(BaseModel):
    error: ErrorDetail


class UnitsView(BaseModel):
    total: int
    done: int
    cached: int


class ImageView(BaseModel):
    path: str = Field(examples=["/output/image_01k…_1.png"])
    bytes: int
    width: int
    height: int
    seed: int = Field(description="Asked for alone, it gives this image again.")


class ResultView(BaseModel):
    path: str | None = Field(description="null for a request whose caller waited: its audio was the answer.")
    media_type: str
    bytes: int
    duration: float
    images: list[ImageView] = Field(description="Of a job of images each file; path is the first. Else empty.")


class FailureView(BaseModel):
    code: str
    message: str


class JobView(BaseModel):
    id: str
    object: Literal["job"]
    type: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    created_at: float
    started_at: float | None
    finished_at: float | None
    progress: float
    units: UnitsView
    position: int | None
    eta: float | None
    result: ResultView | None
    error: FailureView | None
    attempts: int
    warnings: list[str]


class QueueRow(BaseModel):
    id: str
    owner: str
    model: str
    priority: PriorityName
    status: Literal["queued", "running"]
    paused: bool
    durable: bool
    created_at: float
    eta: float | None = Field(description="Predicted seconds until the end; null while it is paused.")
    units: UnitsView


class PausedClient(BaseModel):
    client: str = Field(description="The id of a key, or an address.")
    since: float = Field(description="Seconds since the epoch.")


class QueueView(BaseModel):
    object: Literal["queue"]
    paused: bool = Field(description="Whether everything is paused; a restart does not change it.")
    paused_since: float | None = Field(description="Seconds since the epoch.")
    paused_clients: list[PausedClient]
    data: list[QueueRow]


class JobList(BaseModel):
    object: Literal["list"]
    data: list[JobView]
    next: str | None = Field(description="Pass as `after` for the next page.")


class ModelView(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    kind: str
    state: str
    languages: list[str]
    emotions: list[str]
    voices: int
    cloning: bool = Field(description="Whether it imitates uploaded voices.")
    licence: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelView]
