// Upload form: adds a voice from a file or the microphone, trimmed, with a name and the speaker's consent.
import { upload } from "/web/net/api.js";
import { button, droppable, field, h, number, Refusal, t, word } from "/web/parts/ui.js";
import { Recorder } from "/web/audio/recorder.js";
import { Trimmer } from "/web/audio/trimmer.js";
import { read } from "/web/audio/wav.js";

const ACCEPTED = "audio/*,.wav,.mp3,.flac,.ogg,.opus,.aac,.m4a,.webm";
/** Most bytes of an upload, and of a file that the browser decodes for trimming. */
const [MOST, MOST_RAW] = [10 * 1024 * 1024, 200 * 1024 * 1024];
/** Least and most seconds of a recording. */
const [LEAST_SECONDS, MOST_SECONDS] = [1, 60];

export class UploadForm {
  /** Calls `added(voice)` after a successful upload. */
  constructor(player, added) {
    Object.assign(this, { player, added });
    this.#draw();
    this.recorder = new Recorder(
      (seconds) => word(this.state, () => t("recording", { n: number(seconds) })),
      (blob) => { this.#recorded(); if (blob) this.take(blob, t("myRecording")); },
    );
  }

  #draw() {
    this.file = h("input", { type: "file", accept: ACCEPTED, class: "unseen", id: "voice-file",
      on: { change: () => { if (this.file.files.length) this.take(this.file.files[0], this.file.files[0].name); this.file.value = ""; } } });
    this.record = button("record", () => this.#record());
    this.state = h("p", { class: "hint", role: "status" });
    this.trimmer = new Trimmer(this.player, () => this.#measure());
    const drop = h("div", { class: "drop" },
      h("p", { t: "dropVoice" }),
      h("div", { class: "acts" }, this.file, h("label", { for: "voice-file", class: "button", t: "chooseFile" }), this.record));
    if (!Recorder.able) {
      this.record.disabled = true;
      word(this.state, "noMicrophone");
    }
    const source = h("div", { class: "source", role: "group", tabindex: -1, label: "recordingField" },
      drop, this.state, this.trimmer.node);
    this.fields = {
      audio_sample: field("recordingField", source, "recordingHint"),
      name: field("nameField", h("input", { type: "text", maxlength: 64, autocomplete: "off" })),
      ref_text: field("saidField", h("input", { type: "text", maxlength: 2000, autocomplete: "off" }), "saidHint"),
      note: field("noteField", h("input", { type: "text", maxlength: 500, autocomplete: "off" }), "noteHint"),
    };
    // A label cannot point to a group, which has an aria-label instead.
    this.fields.audio_sample.querySelector("label").replaceWith(h("p", { class: "label", t: "recordingField", "aria-hidden": "true" }));
    this.agree = h("input", { type: "checkbox", id: "agree" });
    this.fields.consent = field("consentStatement", this.agree);
    this.fields.consent.classList.add("check");
    this.bar = h("progress", { max: 1, value: 0, label: "uploading", hidden: true });
    this.go = h("button", { type: "submit", class: "main", t: "addVoice" });
    this.report = h("p", { role: "status", class: "good" });
    const f = this.fields;
    this.form = h("form", { novalidate: true, label: "uploadTitle" },
      f.audio_sample, f.name, f.ref_text, f.consent, f.note,
      h("div", { class: "acts" }, this.go, this.bar), this.report);
    this.node = h("details", { class: "card upload" }, h("summary", { t: "uploadTitle" }), this.form);
    droppable(this.node, (file) => { this.node.open = true; this.take(file, file.name); });
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.#send(); });
  }

  async take(blob, name) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const f = this.fields.audio_sample;
    f.refuse("");
    word(this.report, "");
    word(this.state, "reading");
    this.blob = blob;
    const samples = blob.size <= MOST_RAW ? await read(blob) : null;
    if (turn !== this.turn) return; // Another file was chosen meanwhile.
    this.trimmer.show(samples);
    // The server may read what the browser cannot: such a file is sent unchanged.
    word(this.state, () => t(samples ? "taken" : "takenUnread", { name }));
    if (!samples && blob.size > MOST) f.refuse("tooLarge", { n: MOST / 1024 / 1024 });
  }

  #measure() {
    const { seconds } = this.trimmer;
    const key = seconds < LEAST_SECONDS ? "tooShort" : seconds > MOST_SECONDS ? "tooLong" : "";
    this.fields.audio_sample.refuse(key, key ? { n: key === "tooShort" ? LEAST_SECONDS : MOST_SECONDS } : undefined);
  }

  async #record() {
    if (this.recorder.on) return this.recorder.stop();
    this.player.stop();
    try {
      await this.recorder.start();
      this.record.classList.add("on");
      word(this.record, "stopRecording");
    } catch (error) {
      this.fields.audio_sample.refuse(error.name === "NotFoundError" ? "microphoneMissing" : "microphoneRefused", true);
    }
  }

  #recorded() {
    this.record.classList.remove("on");
    word(this.record, "record");
  }

  async #send() {
    const f = this.fields;
    for (const each of Object.values(f)) each.refuse("");
    word(this.report, "");
    const wrong = [
      [!this.blob, "audio_sample", "needRecording"],
      [!f.name.control.value.trim(), "name", "needName"],
      [!this.agree.checked, "consent", "needConsent"],
    ].filter(([missing]) => missing);
    for (const [, name, key] of wrong) f[name].refuse(key, true);
    if (wrong.length) return f[wrong[0][1]].control.focus();
    this.#busy(true);
    try {
      this.added((await upload("/v1/audio/voices", this.#body(), (part) => { this.bar.value = part; })).voice);
      word(this.report, "voiceAdded", { name: f.name.control.value.trim() });
      this.clear();
    } catch (error) {
      const at = f[error.param] ?? f.audio_sample;
      if (error instanceof Refusal) at.refuse(error.message);
      else at.refuse("noAnswer", true);
      at.control.focus();
    }
    this.#busy(false);
  }

  #body() {
    const f = this.fields;
    const form = new FormData();
    form.append("name", f.name.control.value.trim());
    const note = f.note.control.value.trim();
    form.append("consent", t("consentStatement") + (note ? ` ${note}` : ""));
    if (f.ref_text.control.value.trim()) form.append("ref_text", f.ref_text.control.value.trim());
    form.append("audio_sample", this.trimmer.samples ? this.trimmer.blob() : this.blob, "recording");
    return form;
  }

  #busy(on) {
    this.bar.hidden = !on;
    this.bar.value = 0;
    this.go.disabled = on;
  }

  clear() {
    this.turn = (this.turn ?? 0) + 1;
    this.blob = null;
    this.trimmer.show(null);
    word(this.state, Recorder.able ? "" : "noMicrophone");
    this.form.reset();
  }
}
