// Transcribe: uploads a recording and shows its transcript, with downloads.
import { call, download, upload } from "/web/net/api.js";
import { ask, bytes, button, choices, droppable, field, h, Page, Refusal, save, word } from "/web/parts/ui.js";
import { PendingJob } from "/web/parts/pending-job.js";

const LAST_JOB = "antiphon.hear";
/** Languages that the form offers; without a choice the model detects it. */
const LANGUAGES = ["en", "zh", "ja", "ko", "es", "fr", "de", "it", "pt", "ru", "ar", "hi"];

class Transcribe extends Page {
  draw() {
    this.blob = null;
    this.file = h("input", { type: "file", accept: "audio/*,video/*", class: "unseen", id: "transcribe-file",
      on: { change: () => { if (this.file.files.length) this.#take(this.file.files[0]); this.file.value = ""; } } });
    this.state = h("p", { class: "hint", role: "status" });
    const drop = h("div", { class: "drop", role: "group", tabindex: -1, label: "recordingField" }, h("p", { t: "dropRecording" }),
      h("div", { class: "acts" }, this.file, h("label", { for: "transcribe-file", class: "button", t: "chooseFile" })));
    droppable(drop, (file) => this.#take(file));
    this.model = h("select", { id: "transcribe-model" });
    this.language = h("select", { id: "transcribe-language" });
    this.task = h("select", { id: "transcribe-task" }, h("option", { value: "transcriptions", t: "asItIs" }),
      h("option", { value: "translations", t: "inEnglish" }));
    this.go = h("button", { type: "submit", class: "main", id: "transcribe-go", t: "transcribeIt", disabled: true });
    this.sending = h("progress", { max: 1, value: 0, label: "uploading", hidden: true });
    this.none = h("p", { class: "note", hidden: true, t: "noTranscriber" });
    this.pending = new PendingJob((job) => this.#done(job), () => { this.go.disabled = !this.blob; });
    this.form = h("form", { novalidate: true, label: "transcribe", on: { submit: (event) => { event.preventDefault(); this.#send(); } } },
      drop, this.state, h("div", { class: "choices" }, field("model", this.model), field("spoken", this.language), field("task", this.task)),
      h("div", { class: "acts" }, this.go, this.sending));
    this.text = h("p", { class: "transcript", id: "transcript", tabindex: 0, label: "transcript" });
    this.parts = h("ol", { class: "parts" });
    this.acts = h("div", { class: "acts" });
    this.result = h("section", { class: "card", hidden: true }, h("h3", { t: "transcript" }), this.text, this.acts,
      h("details", {}, h("summary", { t: "byTime" }), this.parts));
    this.append(h("h2", { t: "transcribe" }), this.none, this.form, this.pending.node, this.result);
    this.languageChanged();
  }

  begin() {
    this.every(4000, () => this.#offer());
    const last = sessionStorage.getItem(LAST_JOB);
    if (last && !this.pending.id) this.pending.follow(last);
  }

  /** Names the offered languages in the page's language. */
  languageChanged() {
    const name = new Intl.DisplayNames([document.documentElement.lang || "en"], { type: "language" });
    choices(this.language, [["", null, "foundOut"], ...LANGUAGES.map((tag) => [tag, name.of(tag)])]);
  }

  async #offer() {
    const models = (await ask("/v1/models")).data.filter((model) => model.kind === "transcription");
    this.none.hidden = models.length > 0;
    choices(this.model, [["", null, "automatic"], ...models.map((model) => [model.id, model.id])]);
  }

  #take(file) {
    this.blob = file;
    this.go.disabled = false;
    word(this.state, () => `${file.name} · ${bytes(file.size)}`);
  }

  async #send() {
    const form = new FormData();
    form.append("file", this.blob, this.blob.name);
    form.append("response_format", "verbose_json");
    if (this.model.value) form.append("model", this.model.value);
    if (this.language.value) form.append("language", this.language.value);
    this.go.disabled = true;
    this.sending.hidden = false;
    this.result.hidden = true;
    this.pending.clear();
    try {
      const job = await upload(`/v1/audio/${this.task.value}`, form, (part) => { this.sending.value = part; }, { Prefer: "respond-async" });
      sessionStorage.setItem(LAST_JOB, job.id);
      this.pending.follow(job.id);
    } catch (error) {
      this.pending.refuse(error);
      this.go.disabled = false;
    }
    this.sending.hidden = true;
  }

  async #done(job) {
    let transcript;
    try {
      transcript = await (await call(`/v1/jobs/${job.id}/result`)).json();
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) sessionStorage.removeItem(LAST_JOB);
      return this.pending.refuse(error);
    }
    this.text.textContent = transcript.text;
    this.text.lang = transcript.language ?? "";
    this.parts.replaceChildren(...(transcript.segments ?? []).map((part) => h("li", {},
      h("span", { class: "at" }, `${minutes(part.start)} – ${minutes(part.end)}`), ` ${part.text.trim()}`)));
    const name = `transcript-${job.id}`;
    const files = ["srt", "vtt"].map((kind) => h("button", { type: "button",
      on: { click: () => download(`/v1/jobs/${job.id}/subtitles.${kind}`, `${name}.${kind}`).catch((e) => this.pending.refuse(e)) } }, kind.toUpperCase()));
    this.acts.replaceChildren(
      h("button", { type: "button", on: { click: () => save(new Blob([`${transcript.text}\n`], { type: "text/plain" }), `${name}.txt`) } }, "TXT"),
      ...files, button("copy", () => navigator.clipboard?.writeText(transcript.text)));
    this.result.hidden = false;
  }
}

const minutes = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

customElements.define("ap-transcribe", Transcribe);
