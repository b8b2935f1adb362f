// Speak: the form for a text with its voice and options, and the job that was sent last.
import { copy } from "/web/parts/clipboard.js";
import { Emotion } from "/web/parts/emotion.js";
import { canSpeak, health } from "/web/net/health.js";
import { ask, button, choices, field, h, Page, quote, Refusal, send, t, word } from "/web/parts/ui.js";
import { last, remember } from "/web/storage/sent-jobs.js";
import { curl, python } from "/web/lib/snippets.js";
import { Utterance } from "/web/parts/utterance.js";
import { VoiceChoice } from "/web/parts/voice-choice.js";

const DRAFT = "antiphon.draft";
const MOST = 1_000_000;
/** Form fields by the name that an error response gives. */
const ERRORS = { text: "input", input: "input", speed: "speed", model: "model", voice: "voice" };

class Speak extends Page {
  draw() {
    this.models = [];
    this.voices = [];
    this.text = h("textarea", { id: "text", rows: 6, maxlength: MOST, disabled: true,
      on: { input: () => this.#typed(), keydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit(); } } });
    this.text.value = sessionStorage.getItem(DRAFT) ?? "";
    this.model = h("select", { id: "model", on: { change: () => this.#offer() } });
    this.voice = new VoiceChoice(() => this.#moods());
    this.priority = h("select", { id: "priority" }, ...["vip", "normal", "bulk"].map((name) => h("option", { value: name, t: name, selected: name === "normal" })));
    this.speed = h("input", { id: "speed", type: "number", min: 0.25, max: 4, step: 0.05, value: 1, inputmode: "decimal" });
    this.emotion = new Emotion(() => {});
    this.fields = { input: field("text", this.text), model: field("model", this.model), speed: field("speed", this.speed) };
    this.count = h("p", { class: "hint" });
    this.fields.input.append(this.count);
    this.go = h("button", { type: "submit", class: "main", id: "send", t: "send", disabled: true });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.copied = h("p", { class: "good", role: "status" });
    this.form = h("form", { novalidate: true, label: "speak", on: { submit: (event) => { event.preventDefault(); this.#send(); } } },
      this.fields.input,
      h("div", { class: "choices" }, this.fields.model, this.voice.node, field("priority", this.priority), this.fields.speed),
      this.emotion.node,
      h("div", { class: "acts" }, this.go, button("copyCurl", () => this.#copy(curl)), button("copyPython", () => this.#copy(python)), this.copied),
      this.wrong);
    this.now = h("div");
    this.append(h("h2", { t: "speak" }), this.form, this.now);
    word(this.count, () => t("characters", { n: this.text.value.trim().length }));
    health.addEventListener("change", () => this.#open());
    this.#offer();
    this.#open();
    this.#resume();
  }

  begin() { this.utterance?.renew(); }

  end() { this.voice.player.stop(); }

  #typed() {
    word(this.count, () => t("characters", { n: this.text.value.trim().length }));
    try {
      sessionStorage.setItem(DRAFT, this.text.value);
    } catch {
      sessionStorage.removeItem(DRAFT); // Too long to store.
    }
  }

  /** Enables the input as soon as a model can speak; reloads the choices when the models have changed. */
  #open() {
    this.text.disabled = this.go.disabled = !canSpeak();
    const form = JSON.stringify(health.now?.models.map((m) => [m.name, m.state]));
    if (!canSpeak() || form === this.offered) return;
    this.offered = form;
    this.#choices();
  }

  async #choices() {
    try {
      const [{ data }, { voices }] = await Promise.all([ask("/v1/models"), ask("/v1/audio/voices")]);
      this.models = data.filter((m) => m.kind === "speech" || m.voices > 0);
      this.voices = voices;
      this.#offer();
    } catch {
      this.offered = undefined; // The banner reports the problem; the next health poll tries again.
    }
  }

  #offer() {
    choices(this.model, [["", null, "automatic"], ...this.models.map((m) => [m.id, m.id])]);
    this.voice.offer(this.voices, this.model.value);
    this.#moods();
  }

  #moods() {
    const name = this.voice.chosen?.model ?? this.model.value;
    this.emotion.offer((this.models.find((m) => m.id === name) ?? this.models[0])?.emotions ?? null);
  }

  #body() {
    const { chosen } = this.voice;
    const body = { type: "speech", input: this.text.value, response_format: "wav" };
    if (chosen) Object.assign(body, { voice: chosen.id, model: chosen.model });
    if (this.model.value) body.model = this.model.value;
    if (Number(this.speed.value) !== 1) body.speed = Number(this.speed.value);
    if (this.emotion.value !== undefined) body.emotion = this.emotion.value;
    if (this.priority.value !== "normal") body.priority = this.priority.value;
    return body;
  }

  async #send() {
    for (const each of [this.fields.input, this.fields.model, this.fields.speed]) each.refuse("");
    quote(this.wrong, "");
    if (!this.text.value.trim()) {
      this.fields.input.refuse("needText", true);
      return this.text.focus();
    }
    this.go.disabled = true;
    const body = this.#body();
    try {
      const job = await send("/v1/jobs", "POST", body);
      remember(job.id, body);
      this.#show(new Utterance(job, body, true));
    } catch (error) {
      const at = this.fields[ERRORS[error.param]];
      if (!(error instanceof Refusal)) word(this.wrong, "noAnswer");
      else if (at) { at.refuse(error.message); at.control.focus(); } else quote(this.wrong, error.message);
    }
    this.go.disabled = !canSpeak();
  }

  async #copy(write) {
    word(this.copied, "");
    if (await copy(write(this.#body()))) word(this.copied, "copied");
  }

  #show(utterance) {
    this.utterance?.close();
    this.utterance = utterance;
    this.now.replaceChildren(utterance.node);
  }

  /** After a reload: shows the job that this tab sent last. */
  async #resume() {
    const before = last();
    if (!before) return;
    try {
      const job = await ask(`/v1/jobs/${before.id}`);
      if (!this.utterance) this.#show(new Utterance(job, before.body, false));
    } catch {
      // The job is deleted, or belongs to another key.
    }
  }
}

customElements.define("ap-speak", Speak);
