// Voice choice: a select of voices grouped by model, with a button that plays a sample.
import { button, h, quote, word } from "/web/parts/ui.js";
import { ClipPlayer, fetched } from "/web/audio/clip-player.js";

export class VoiceChoice {
  constructor(changed) {
    this.voices = [];
    this.select = h("select", { id: "voice", on: { change: () => { this.#turn(); changed(); } } });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.player = new ClipPlayer((error) => quote(this.wrong, error.message));
    this.listen = button("hearVoice", () => { quote(this.wrong, ""); this.player.toggle("voice", () => fetched(this.chosen.sample), this.listen); },
      { "aria-pressed": "false", "data-key": "hearVoice" });
    this.node = h("div", { class: "field voice-choice" }, h("label", { for: "voice", t: "voice" }), h("div", { class: "with" }, this.select, this.listen), this.wrong);
    this.#turn();
  }

  get chosen() { return this.voices.find((v) => key(v) === this.select.value) ?? null; }

  /** Offers the voices of one model; of all models for "". */
  offer(voices, model) {
    const fitting = voices.filter((v) => !model || v.model === model);
    const form = JSON.stringify(fitting);
    if (form === this.form) return;
    this.form = form;
    const before = this.select.value;
    this.voices = fitting;
    const groups = Map.groupBy ? Map.groupBy(fitting, (v) => v.model) : grouped(fitting);
    const options = (list) => list.map((v) => h("option", { value: key(v) }, v.name));
    this.select.replaceChildren(h("option", { value: "", t: "automatic" }),
      ...(groups.size > 1 ? [...groups].map(([label, list]) => h("optgroup", { "data-model": label }, ...options(list))) : options(fitting)));
    for (const group of this.select.querySelectorAll("optgroup")) group.label = group.dataset.model;
    if (fitting.some((v) => key(v) === before)) this.select.value = before;
    this.#turn();
  }

  #turn() {
    this.player.stop();
    this.listen.disabled = !this.chosen;
    word(this.listen, "hearVoice");
  }
}

const key = (voice) => `${voice.model}/${voice.id}`;

function grouped(voices) {
  const groups = new Map();
  for (const v of voices) groups.set(v.model, [...(groups.get(v.model) ?? []), v]);
  return groups;
}
